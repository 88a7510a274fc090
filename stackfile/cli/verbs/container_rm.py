"""`container rm`: remove containers by name or id."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.cli.each import for_each


def register() -> Verb:
    return Verb(
        name="container rm",
        summary="Remove containers",
        operands="CONTAINER…",
        minimum=1,
        maximum=None,
        options=(
            option("-f --force", "running ones too"),
            option("-v --volumes", "their anonymous volumes too"),
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    force, volumes = arguments.flag("force"), arguments.flag("volumes")
    return for_each(context, arguments.positional, lambda ref: client.remove(ref, force=force, volumes=volumes))
