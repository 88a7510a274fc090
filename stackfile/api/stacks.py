"""Stack files for programs: load, show, draw; plan and apply in one call.

Everything here reads with the caller's rights. The language is imported only when a file is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackfile.model.event import JobEvent
from stackfile.model.observed import UpOptions
from stackfile.model.plan import Plan
from stackfile.model.stack import ImageResource, Stack

if TYPE_CHECKING:
    from stackfile.language import Form, LoadOptions, Reader, Warned
    from stackfile.language.asked import Asked
    from stackfile.language.linting import Finding, Rule
    from stackfile.language.settable import Setting


def load(
    options: LoadOptions | None = None, *, warnings: list[Warned] | None = None, read: Reader | None = None
) -> Stack:
    """Load the stack that `options` name (by default the one of the current directory). `read` reads the files.

    What deserves a word but is no error is appended to `warnings`. Raises StackError, or ErrorList when there are
    several mistakes.
    """
    from stackfile import language

    if options is None:
        options = language.LoadOptions(directory=os.getcwd(), environ=dict(os.environ))
    return language.load(options, read, warnings)


def configuration(
    options: LoadOptions,
    *,
    warnings: list[Warned] | None = None,
    read: Reader | None = None,
    form: Form | None = None,
) -> tuple[Stack, dict[str, Any]]:
    """The stack and its canonical form: what Compose prints of Compose files, else a stack file.

    The content of configs and secrets need not be there. `form`: what stays as it was written. Raises as `load`.
    """
    from stackfile import language

    return language.configuration(options, read, warnings, form)


def variables(options: LoadOptions) -> list[Asked]:
    """The variables that the stack's files ask for. Raises as `load`."""
    from stackfile import language

    return language.variables(options)


def file_names() -> tuple[str, ...]:
    """Names of stack files that are found without being named."""
    from stackfile.language.dialect import COMPOSE_NAMES, STACK_NAMES

    return (*STACK_NAMES, *COMPOSE_NAMES)


def environment(options: LoadOptions) -> dict[str, str]:
    """The variables that the stack's files may use. Raises as `load`."""
    from stackfile import language

    return language.environment(options)


def environment_names(options: LoadOptions) -> list[str]:
    """Every environment that the stack's files can be loaded with, "" for none. Raises as `load`."""
    from stackfile import language

    return language.environment_names(options)


def settings(options: LoadOptions) -> list[Setting]:
    """What can be set of the stack's values, and where each comes from. Raises as `load`."""
    from stackfile import language

    return language.settings(options)


def lint(options: LoadOptions, *, ignored: frozenset[str] = frozenset()) -> list[Finding]:
    """What deserves a second look in a stack; `ignored`: ids of rules. Raises as `load`."""
    from stackfile import language

    return language.lint(options, ignored=ignored)


def lint_rules() -> list[Rule]:
    """The rules of `lint`."""
    from stackfile import language

    return language.lint_rules()


def schema() -> str:
    """The JSON Schema of stack files, as text."""
    from stackfile import language

    return language.schema()


def text_of(plain: dict[str, Any], format: str = "yaml") -> str:  # noqa: A002
    """A canonical form as text; format: yaml, json."""
    from stackfile.language import dump

    return dump.text_of(plain, format)  # type: ignore[arg-type]


def config(stack: Stack, format: str = "yaml") -> str:  # noqa: A002
    """The canonical model of a stack as text; format: yaml, json."""
    from stackfile.language import dump

    return dump.dump(stack, format)  # type: ignore[arg-type]


def graph(stack: Stack, format: str = "text") -> str:  # noqa: A002
    """The dependency graph of a stack as text; format: text, dot, mermaid."""
    import stackfile.graph

    return stackfile.graph.render(stackfile.graph.build(stack), format)


def plan(stack: Stack, options: UpOptions | None = None, *, host: str | None = None) -> Plan:
    """What applying `stack` would do."""
    from stackfile.api.launch import connect

    with connect(host) as client:
        return client.plan(stack, options or UpOptions())


def apply(stack: Stack, options: UpOptions | None = None, *, host: str | None = None) -> JobEvent:
    """Make the machine match `stack`; returns when it does. Raises the error of what failed."""
    from stackfile.api.client import result_of
    from stackfile.api.launch import connect

    with connect(host) as client:
        return result_of(client.up(stack, options or UpOptions()))


@dataclass(frozen=True, slots=True)
class Upload:
    """A build context to send: its digest, its manifest's text, and a reader of its files by digest."""

    digest: str
    text: str
    opener: Any

    def read(self, digest: str) -> Iterator[bytes]:
        with self.opener(digest) as file:
            while data := file.read(1 << 20):
                yield data


def contexts_of(stack: Stack) -> tuple[Stack, list[Upload]]:
    """Read what the stack's images name: sources of copy steps, Dockerfiles and their contexts. Returns the stack
    with what was found filled in, and what to send.
    """
    if not any(map(_reads_files, stack.images.values())):
        return stack, []
    from stackfile.api import bases, contexts, dockerfiles

    filled, uploads = contexts.fill(stack)
    filled, more = dockerfiles.fill(filled)
    filled, archives = bases.fill(filled)
    return filled, [*uploads, *more, *archives]


def _reads_files(image: ImageResource) -> bool:
    copies = any(step.kind in ("copy", "add") for step in image.steps)
    return bool(image.build or image.base_path or copies)
