"""From stack files to a `Stack`: source → template → interpolate → merge → normalise → validate, a phase a file.

What belongs here: the text of stack, Compose, values and env files and what it means. What does not: anything that
runs, any engine, any socket. Files are read through a `Reader`, with the rights of whoever calls.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stackfile.language.options import FileReader, LoadOptions, Reader, Warned
from stackfile.model.stack import Stack

__all__ = ["FileReader", "LoadOptions", "Reader", "Warned", "configuration", "load"]


def load(options: LoadOptions, read: Reader | None = None, warnings: list[Warned] | None = None) -> Stack:
    """Load the stack that `options` name.

    `read` reads the files (the file system by default). What deserves a word but is no error is appended to
    `warnings`. Raises StackError, or ErrorList when several things are wrong: all mistakes are reported at once.
    """
    from stackfile.language.pipeline import Pipeline

    with _without_collector():
        return Pipeline(options, read or FileReader(), [] if warnings is None else warnings).run()


def configuration(
    options: LoadOptions, read: Reader | None = None, warnings: list[Warned] | None = None
) -> tuple[Stack, dict[str, Any]]:
    """The stack and its canonical form as plain data: Compose's own, or a stack file's. Raises as `load`."""
    from stackfile.language import dump
    from stackfile.language.pipeline import Pipeline

    with _without_collector():
        pipeline = Pipeline(options, read or FileReader(), [] if warnings is None else warnings, contents=False)
        stack = pipeline.run()
        return stack, dump.to_plain(stack) if pipeline.canonical is None else pipeline.canonical


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
