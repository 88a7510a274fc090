"""`container rename`: give a container another name."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="container rename",
        summary="Give a container another name",
        operands="CONTAINER NAME",
        minimum=2,
        maximum=2,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    context.client().rename(*arguments.positional)
    return 0
