"""`container top`: the processes of a container."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.verbs.top import show


def register() -> Verb:
    return Verb(
        name="container top",
        summary="The processes of a container",
        operands="CONTAINER [PS-OPTION…]",
        minimum=1,
        maximum=None,
        trailing=True,
        run=run,
        text="JSON: as of `top`.",
    )


def run(context: Context, arguments: Arguments) -> int:
    ref, *options = arguments.positional
    record = context.client().container(ref)
    return show(context, [record], options)
