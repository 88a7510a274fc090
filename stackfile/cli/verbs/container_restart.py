"""`container restart`: restart containers by name or id."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.each import for_each


def register() -> Verb:
    return Verb(
        name="container restart",
        summary="Restart containers",
        operands="CONTAINER…",
        minimum=1,
        maximum=None,
        options=(option("-t --timeout", "seconds until it is killed", "N"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    timeout = arguments.integer("timeout")
    return for_each(context, arguments.positional, lambda ref: client.restart(ref, timeout))
