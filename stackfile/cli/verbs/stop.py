"""`stop`: stop the containers of services, keep them."""

from __future__ import annotations

from stackfile.cli import lifecycle
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="stop",
        summary="Stop the containers of services, keep them",
        operands="[SERVICE…]",
        maximum=None,
        options=(option("-t --timeout", "seconds until a container is killed", "N"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return lifecycle.run(context, arguments, "stop", timeout=arguments.integer("timeout"))
