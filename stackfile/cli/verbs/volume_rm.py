"""`volume rm`: remove volumes and the data in them."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.each import for_each


def register() -> Verb:
    return Verb(
        name="volume rm",
        summary="Remove volumes and the data in them; refused while a container mounts them",
        operands="VOLUME…",
        minimum=1,
        maximum=None,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    return for_each(context, arguments.positional, context.client().remove_volume)
