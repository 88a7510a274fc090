"""`container wait`: until containers end; prints their exit codes."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="container wait",
        summary="Wait until containers end, print their exit codes",
        operands="CONTAINER…",
        minimum=1,
        maximum=None,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    for reference in arguments.positional:
        status = client.wait(reference)
        if context.console.json:
            code = status.exit_code if status.known else None
            context.console.line({"container": reference, "exit_code": code, "error": status.error})
        else:
            context.console.print(str(status.exit_code))
            if not status.known:
                context.warn(f"{reference}: the exit code is not known: {status.error}")
    return 0
