"""`container attach`: connect this terminal with a container's main process."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.verbs.attach import OPTIONS, attach


def register() -> Verb:
    return Verb(
        name="container attach",
        summary="Connect this terminal with a container's main process; exits with its code",
        operands="CONTAINER",
        minimum=1,
        maximum=1,
        runs_command=True,
        options=OPTIONS,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return attach(context, arguments, context.client().container(arguments.positional[0]))
