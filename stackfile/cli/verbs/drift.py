"""`drift`: differences between what was applied and what the kernel has."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context

DIFFERENCES = 6


def register() -> Verb:
    return Verb(
        name="drift",
        summary="Show differences between what was applied and the kernel; change nothing",
        operands="[SERVICE…]",
        maximum=None,
        options=(option("--exit-code", "exit 6 when there are some"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    project = context.project()
    wanted = {f"service.{name}" for name in context.services_of(project, arguments.positional)}
    found = [item for item in context.client().drift(project.name) if not wanted or item.address in wanted]
    console = context.console
    if console.json:
        from stackfile.api import to_plain

        console.document([to_plain(item) for item in found])
    else:
        from stackfile.cli.output import drift

        console.print(drift.render(project, found, console))
    return DIFFERENCES if found and arguments.flag("exit-code") else 0
