"""`stats`: how much the stack's containers use."""

from __future__ import annotations

from stackfile.cli import usage
from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="stats",
        summary="How much the stack's containers use: live on a terminal, ctrl-C ends it",
        operands="[SERVICE…]",
        maximum=None,
        options=usage.OPTIONS,
        run=run,
        text="JSON: a list of {id, name, cpu_percent, memory, memory_limit, rx_bytes, tx_bytes, read_bytes,\n"
        "write_bytes, processes}; sizes in bytes, 100 percent is one CPU.",
    )


def run(context: Context, arguments: Arguments) -> int:
    project = context.project()
    return usage.show(context, arguments, lambda: context.containers_of(project, arguments.positional))
