"""`volume inspect`: everything the engine knows of volumes."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.errors import NotFoundError


def register() -> Verb:
    return Verb(
        name="volume inspect",
        summary="Everything the engine knows of volumes, as JSON",
        operands="VOLUME…",
        minimum=1,
        maximum=None,
        run=run,
        text="JSON: a list of volume records.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api import to_plain

    known = {item.name: item for item in context.client().volumes()}
    for name in arguments.positional:
        if name not in known:
            raise NotFoundError("volume", name)
    context.console.document([to_plain(known[name]) for name in arguments.positional])
    return 0
