"""`container exec`: run a command in any container, docker exec's options."""

from __future__ import annotations

from stackfile.cli import execute
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.session import wants_tty


def register() -> Verb:
    return Verb(
        name="container exec",
        summary="Run a command in a running container",
        operands="CONTAINER COMMAND [ARG…]",
        minimum=2,
        maximum=None,
        trailing=True,
        runs_command=True,
        options=(
            option("-t --tty", "a TTY"),
            option("-i --interactive", "keep stdin open"),
            *execute.OPTIONS,
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    reference, *command = arguments.positional
    record = context.client().container(reference)
    tty = arguments.flag("tty")
    stdin = arguments.flag("interactive")
    if tty and stdin and not arguments.flag("detach"):
        wants_tty(True, False, False)
    return execute.execute(context, arguments, record, command, tty=tty, stdin=stdin)
