"""`restart`: stop and start the containers of services."""

from __future__ import annotations

from stackfile.cli import lifecycle
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="restart",
        summary="Stop and start the containers of services",
        operands="[SERVICE…]",
        maximum=None,
        options=(option("-t --timeout", "seconds until a container is killed", "N"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return lifecycle.run(context, arguments, "restart", timeout=arguments.integer("timeout"))
