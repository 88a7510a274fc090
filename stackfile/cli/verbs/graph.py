"""`graph`: the dependency graph."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="graph",
        summary="The dependency graph; needs no engine",
        options=(option("--format", "text, dot or mermaid", "FORMAT", choices=("text", "dot", "mermaid")),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile import api

    context.console.print(api.graph(context.stack(), arguments.text("format", "text")).rstrip("\n"))
    return 0
