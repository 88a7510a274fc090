"""`container kill`: send a signal to containers by name or id."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.each import for_each


def register() -> Verb:
    return Verb(
        name="container kill",
        summary="Send a signal to containers",
        operands="CONTAINER…",
        minimum=1,
        maximum=None,
        options=(option("-s --signal", "signal (SIGKILL)", "SIGNAL"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    signal = arguments.text("signal", "SIGKILL")
    return for_each(context, arguments.positional, lambda ref: client.kill(ref, signal))
