"""`logout`: forget the credentials of a registry."""

from __future__ import annotations

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context


def register() -> Verb:
    return Verb(
        name="logout",
        summary="Forget the credentials of a registry",
        operands="[REGISTRY]",
        maximum=1,
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api.credentials import Credentials

    host = next(iter(arguments.positional), "docker.io")
    known = Credentials(context.environ).forget(host)
    context.console.say(f"Logged out of {host}" if known else f"Not logged in to {host}")
    return 0
