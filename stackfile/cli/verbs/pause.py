"""`pause`: stop the processes of services where they are."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.each import for_services


def register() -> Verb:
    return Verb(
        name="pause",
        summary="Freeze the processes of services where they are",
        operands="[SERVICE…]",
        maximum=None,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return for_services(context, arguments.positional, ("running",), context.client().pause)
