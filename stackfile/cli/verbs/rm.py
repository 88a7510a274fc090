"""`rm`: remove the stopped containers of services."""

from __future__ import annotations

from stackfile.cli import lifecycle
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="rm",
        summary="Remove the stopped containers of services",
        operands="[SERVICE…]",
        maximum=None,
        options=(
            option("-f --force", "without a question (there is none)"),
            option("-s --stop", "stop them first"),
            option("-v --volumes", "their anonymous volumes too"),
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return lifecycle.run(context, arguments, "rm", force=arguments.flag("stop"), volumes=arguments.flag("volumes"))
