"""`unpause`: let paused services go on."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.each import for_services


def register() -> Verb:
    return Verb(
        name="unpause",
        summary="Let paused services go on",
        operands="[SERVICE…]",
        maximum=None,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return for_services(context, arguments.positional, ("paused",), context.client().unpause)
