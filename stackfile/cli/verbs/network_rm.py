"""`network rm`: remove networks."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.each import for_each


def register() -> Verb:
    return Verb(
        name="network rm",
        summary="Remove networks; refused while a container runs on them",
        operands="NETWORK…",
        minimum=1,
        maximum=None,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return for_each(context, arguments.positional, context.client().remove_network)
