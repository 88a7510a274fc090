"""`daemon stop`: end the daemon and all its processes."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import EngineError


def register() -> Verb:
    return Verb(
        name="daemon stop",
        summary="End the engine's daemon and its processes",
        options=(option("--force", "stop running containers first (refused otherwise)"),),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    try:
        client = context.client(start=False, check=False)
    except EngineError as error:
        if error.reason != "engine-unreachable":
            raise
        context.console.say("The daemon is not running.")
        return 0
    client.shutdown(arguments.flag("force"))
    context.console.say("The daemon has stopped.")
    return 0
