"""`system reset`: the machine as it was before this engine."""

from __future__ import annotations

import os

from stackfile import settings
from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.removing import YES
from stackfile.errors import ActionError, EngineError, RefusedError, StackfileError, UsageError


def register() -> Verb:
    return Verb(
        name="system reset",
        summary="Stop and remove everything of this engine, its images and volumes too: the machine as it was",
        options=(YES,),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    from stackfile.api.wipe import wipe

    found = settings.load(context.environ)
    if context.options.text("host") or context.environ.get("STACKFILE_HOST"):
        raise UsageError("usage", "system reset is for the engine of this machine; leave --host and STACKFILE_HOST out")
    if not any(os.path.exists(path) for path in (found.root, found.run)):
        context.console.say("There is nothing to reset.")
        return 0
    if not arguments.flag("yes"):
        raise RefusedError(
            "needs-yes",
            f"this removes every container, image, network and volume of the engine, {found.root} and {found.run}",
            hint="-y does it",
        )
    if os.geteuid() != 0:
        raise EngineError("not-permitted", "system reset needs root", hint="try it with sudo, or as root")
    _stop(context)
    left = wipe(context.environ)
    if left:
        raise ActionError("partial", "not all of the engine could be removed", cause="; ".join(left))
    context.console.say(f"{found.root} and {found.run} are gone, and all that belonged to them.")
    return 0


def _stop(context: Context) -> None:
    """Let an engine that answers stop its containers as they want to be; of any other all is taken away as it is."""
    try:
        client = context.client(start=False, check=False)
        client.ping(timeout=5)  # one that hangs is not waited for
        client.shutdown(force=True)
    except StackfileError as error:
        if error.reason != "engine-unreachable":
            context.console.note(f"warning: the engine does not end by itself: {error}")
