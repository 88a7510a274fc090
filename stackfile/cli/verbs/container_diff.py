"""`container diff`: what a container changed of its image's files."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context

_MARKS = ("C", "A", "D")


def register() -> Verb:
    return Verb(
        name="container diff",
        summary="Files that differ from the image: A added, C changed, D deleted",
        operands="CONTAINER",
        minimum=1,
        maximum=1,
        run=run,
        text="JSON: a list of {path, change}; change: added, changed, deleted.",
    )


def run(context: Context, arguments: Arguments) -> int:
    rows = context.client().docker("GET", "containers", arguments.positional[0], "changes") or []
    if context.console.json:
        words = ("changed", "added", "deleted")
        context.console.document([{"path": row["Path"], "change": words[row["Kind"]]} for row in rows])
        return 0
    for row in rows:
        context.console.print(f"{_MARKS[row['Kind']]} {row['Path']}")
    return 0
