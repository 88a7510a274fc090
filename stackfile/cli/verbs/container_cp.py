"""`container cp`: copy files from and to a container."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.verbs.cp import OPTIONS, copy


def register() -> Verb:
    return Verb(
        name="container cp",
        summary="Copy files between a container and the caller; a path `-` is a tar on stdin or stdout",
        operands="CONTAINER:PATH PATH | PATH CONTAINER:PATH",
        minimum=2,
        maximum=2,
        options=OPTIONS,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return copy(context, arguments, lambda name: name)
