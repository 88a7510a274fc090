"""`container logs`: what one container says."""

from __future__ import annotations

from dataclasses import replace

from stackfile.cli import follow, reader
from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.verbs.logs import OPTIONS, options_of


def register() -> Verb:
    return Verb(
        name="container logs",
        summary="What a container says",
        operands="CONTAINER",
        minimum=1,
        maximum=1,
        options=OPTIONS,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    record = context.client().container(arguments.positional[0])
    options = replace(options_of(arguments), prefix=False)
    with reader.needed(arguments.flag("follow")):
        follow.stream_logs(context, record, options, arguments.flag("follow"))
    return 0
