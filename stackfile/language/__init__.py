"""From stack files to a `Stack`: source → template → interpolate → merge → normalise → validate, a phase a file.

What belongs here: the text of stack, Compose, values and env files and what it means. What does not: anything that
runs, any engine, any socket. Files are read through a `Reader`, with the rights of whoever calls.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackfile.language.options import FileReader, Form, LoadOptions, Reader, Warned
from stackfile.model.stack import Stack

if TYPE_CHECKING:
    from stackfile.language.asked import Asked
    from stackfile.language.dialect import SourceFile
    from stackfile.language.linting import Finding, Rule
    from stackfile.language.settable import Setting

__all__ = [
    "FileReader",
    "Form",
    "LoadOptions",
    "Reader",
    "Warned",
    "configuration",
    "environment",
    "environment_names",
    "files",
    "lint",
    "lint_rules",
    "load",
    "schema",
    "settings",
    "variables",
]


def load(options: LoadOptions, read: Reader | None = None, warnings: list[Warned] | None = None) -> Stack:
    """Load the stack that `options` name.

    `read` reads the files (the file system by default). What deserves a word but is no error is appended to
    `warnings`. Raises StackError, or ErrorList when several things are wrong: all mistakes are reported at once.
    """
    from stackfile.language.pipeline import Pipeline

    with _without_collector():
        return Pipeline(options, read or FileReader(), [] if warnings is None else warnings).run()


def configuration(
    options: LoadOptions,
    read: Reader | None = None,
    warnings: list[Warned] | None = None,
    form: Form | None = None,
) -> tuple[Stack, dict[str, Any]]:
    """The stack and its canonical form as plain data: Compose's own, or a stack file's. Raises as `load`.

    Where `form` leaves variables as they were written, the stack has the names of its services alone.
    """
    from stackfile.language import dump
    from stackfile.language.pipeline import Pipeline

    form = form or Form()
    with _without_collector():
        pipeline = Pipeline(options, read or FileReader(), [] if warnings is None else warnings, False, form)
        stack = pipeline.run()
        if pipeline.canonical is None:
            return stack, dump.to_plain(stack, form.services)
        return stack, pipeline.canonical


def variables(options: LoadOptions, read: Reader | None = None) -> list[Asked]:
    """The variables that the stack's files ask for, by name. Whether they are set does not count. Raises as `load`."""
    from stackfile.language.asked import of_tree
    from stackfile.language.pipeline import Pipeline

    with _without_collector():
        pipeline = Pipeline(options, read or FileReader(), [], False, Form(interpolate=False))
        tree = pipeline.gathered()
        pipeline.errors.check()
        return of_tree(tree)


def environment(options: LoadOptions, read: Reader | None = None) -> dict[str, str]:
    """The variables that `${…}` may use: the caller's over those of the env files. Raises as `load`."""
    from stackfile.language.pipeline import Pipeline

    with _without_collector():
        pipeline = Pipeline(options, read or FileReader(), [], contents=False)
        stack = pipeline.run()
        return {"COMPOSE_PROJECT_NAME": stack.name, **pipeline.variables}


def environment_names(options: LoadOptions, read: Reader | None = None) -> list[str]:
    """The names that `-E` takes for what the stack's files can be: its environments, and "" first where none of them
    is the default. Raises as `load`.
    """
    from stackfile.errors import Place
    from stackfile.language.environments import choose, known_environments
    from stackfile.language.pipeline import Pipeline

    with _without_collector():
        pipeline = Pipeline(options, read or FileReader(), [], contents=False)
        known = known_environments(pipeline.gathered())
        pipeline.errors.check()
        base = [] if choose(known, "", Place("-E")) else [""]
        return [*base, *(known.entries if known else ())]


def settings(options: LoadOptions, read: Reader | None = None) -> list[Setting]:
    """What can be set of the stack's values, and where each comes from. Raises as `load`."""
    from stackfile.language.pipeline import Pipeline
    from stackfile.language.settable import of

    with _without_collector():
        return of(Pipeline(options, read or FileReader(), [], contents=False).settings())


def lint(options: LoadOptions, read: Reader | None = None, ignored: frozenset[str] = frozenset()) -> list[Finding]:
    """What deserves a second look in the stack, without what comments silence. Raises as `load`."""
    from stackfile.language import linting
    from stackfile.language.pipeline import Pipeline

    reader = read or FileReader()
    load(options, reader)
    with _without_collector():
        tree = Pipeline(options, reader, [], False).gathered()
    return linting.unsilenced(linting.lint(tree, ignored), options, reader)


def lint_rules() -> list[Rule]:
    """The rules of `lint`."""
    from stackfile.language.linting import RULES

    return list(RULES.values())


def files(options: LoadOptions, read: Reader | None = None) -> list[SourceFile]:
    """The files that `options` name, or those that are found; not what they include. Raises StackError."""
    from stackfile.language import dialect, project

    reader = read or FileReader()
    first = project.first_variables(options, reader)
    environ = {name: variable.value for name, variable in first.items()} | dict(options.environ)
    return dialect.files_of(options, environ, reader, [])[0]


def schema() -> str:
    """The JSON Schema of stack files (draft 2020-12), as text: `schemas/stack.schema.json`, carried by the package."""
    return Path(__file__).with_name("stack.schema.json").read_text(encoding="utf-8")


@contextmanager
def _without_collector() -> Iterator[None]:
    """Trees are big and free of cycles: looking for garbage among them takes a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
