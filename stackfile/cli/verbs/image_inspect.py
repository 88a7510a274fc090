"""`image inspect`: everything the engine knows of images."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="image inspect",
        summary="Everything the engine knows of images, as JSON",
        operands="IMAGE…",
        minimum=1,
        maximum=None,
        run=run,
        text="JSON: a list of image records.",
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api import to_plain

    client = context.client()
    context.console.document([to_plain(client.image(ref)) for ref in arguments.positional])
    return 0
