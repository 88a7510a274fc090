"""`network inspect`: everything the engine knows of networks."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="network inspect",
        summary="Networks and the containers on them, as JSON",
        operands="NETWORK…",
        minimum=1,
        maximum=None,
        run=run,
        text="JSON: a list, as the Docker Engine API has it.",
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    context.console.document([client.docker("GET", "networks", name) for name in arguments.positional])
    return 0
