"""`daemon start`: start the engine's daemon, unless it runs."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.verbs.daemon_status import show


def register() -> Verb:
    return Verb(name="daemon start", summary="Start the engine's daemon, unless it runs", run=run)


def run(context: Context, arguments: Arguments) -> int:
    client = context.client()
    show(context, client.ping(), client.host)
    return 0
