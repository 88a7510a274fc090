"""`daemon status`: whether the engine's daemon runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context

if TYPE_CHECKING:
    from stackfile.api import Ping


def register() -> Verb:
    return Verb(
        name="daemon status",
        summary="Whether the engine's daemon runs; exit 4 when not",
        run=run,
        text="JSON: {version, api, engine: {kind, id}, pid, host}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    client = context.client(start=False, check=False)
    show(context, client.ping(), client.host)
    return 0


def show(context: Context, ping: Ping, host: str) -> None:
    console = context.console
    if console.json:
        console.document(
            {"version": ping.version, "api": ping.api, "engine": dict(ping.engine), "pid": ping.pid, "host": host}
        )
    else:
        console.say(f"The {ping.engine.get('kind', 'embedded')} engine {ping.version} runs, pid {ping.pid}, at {host}.")
