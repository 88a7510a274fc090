"""`container inspect`: everything the engine knows of containers."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="container inspect",
        summary="Everything the engine knows of containers, as JSON",
        operands="CONTAINER…",
        minimum=1,
        maximum=None,
        run=run,
        text="JSON: a list of container records; no secret's content is in them.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api import to_plain

    client = context.client()
    context.console.document([to_plain(client.container(ref)) for ref in arguments.positional])
    return 0
