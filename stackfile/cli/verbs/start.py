"""`start`: start the containers of services that exist."""

from __future__ import annotations

from stackfile.cli import lifecycle
from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="start",
        summary="Start the containers of services that exist",
        operands="[SERVICE…]",
        maximum=None,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return lifecycle.run(context, arguments, "start")
