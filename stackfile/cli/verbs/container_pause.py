"""`container pause`: freeze the processes of containers by name or id."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.each import for_each


def register() -> Verb:
    return Verb(
        name="container pause",
        summary="Freeze the processes of containers",
        operands="CONTAINER…",
        minimum=1,
        maximum=None,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return for_each(context, arguments.positional, context.client().pause)
