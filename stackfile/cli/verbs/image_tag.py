"""`image tag`: one more name for an image."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="image tag",
        summary="Give an image one more name",
        operands="IMAGE NAME[:TAG]",
        minimum=2,
        maximum=2,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    image, name = arguments.positional
    context.client().tag_image(image, name)
    return 0
