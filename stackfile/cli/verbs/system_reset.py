"""`system reset`: the machine as it was before this engine."""

from __future__ import annotations

import os
import shutil
import time

from stackfile import settings
from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.removing import YES
from stackfile.errors import ActionError, EngineError, RefusedError, UsageError
from stackfile.settings import Settings

_PATIENCE = 10.0


def register() -> Verb:
    return Verb(
        name="system reset",
        summary="Stop and remove everything of this engine, its images and volumes too: the machine as it was",
        options=(YES,),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
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
    _stop(context, found)
    for path in (found.run, found.root):
        _remove(path)
    context.console.say(f"{found.root} and {found.run} are gone, and all that belonged to them.")
    return 0


def _stop(context: Context, found: Settings) -> None:
    """An engine that cannot start any more (a damaged database, say) leaves files only."""
    try:
        # Started where it does not run: it knows what of the kernel is its own, whatever killed the one before.
        context.client(check=False).shutdown(force=True)
    except EngineError as error:
        if error.reason != "engine-start-failed":
            raise
        context.console.note(f"warning: the engine does not start, its files go anyway: {error.cause}")
    deadline = time.monotonic() + _PATIENCE
    while _locked(f"{found.run}/lock"):
        if time.monotonic() > deadline:
            raise ActionError("timeout", f"the supervisor of {found.run} does not end")
        time.sleep(0.02)


def _locked(path: str) -> bool:
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _remove(path: str) -> None:
    """The directory, or what is in it where it is a mount point."""
    if not os.path.isdir(path):
        return
    try:
        for name in os.listdir(path):
            inner = os.path.join(path, name)
            if os.path.isdir(inner) and not os.path.islink(inner):
                shutil.rmtree(inner)
            else:
                os.unlink(inner)
        if not os.path.ismount(path):
            os.rmdir(path)
    except OSError as error:
        raise ActionError("action-failed", f"{path} cannot be removed", cause=str(error)) from error
