"""`container stats`: how much containers use."""

from __future__ import annotations

from stackfile.cli import usage
from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="container stats",
        summary="How much containers use (all that run without names): live on a terminal, ctrl-C ends it",
        operands="[CONTAINER…]",
        maximum=None,
        options=usage.OPTIONS,
        run=run,
        text="JSON: as of `stats`.",
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    names = arguments.positional
    return usage.show(context, arguments, lambda: [client.container(ref) for ref in names] or client.containers())
