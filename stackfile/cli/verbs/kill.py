"""`kill`: send a signal to the containers of services."""

from __future__ import annotations

from stackfile.cli import lifecycle
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="kill",
        summary="Send a signal to the containers of services",
        operands="[SERVICE…]",
        maximum=None,
        options=(option("-s --signal", "signal (SIGKILL)", "SIGNAL"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return lifecycle.run(context, arguments, "kill", signal=arguments.text("signal", "SIGKILL"))
