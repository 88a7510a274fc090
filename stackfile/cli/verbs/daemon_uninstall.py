"""`daemon uninstall`: systemd forgets the engine."""

from __future__ import annotations

import os
import subprocess

from stackfile.cli import systemd
from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.verbs.daemon_install import DIRECTORY
from stackfile.errors import ActionError, EngineError


def register() -> Verb:
    return Verb(
        name="daemon uninstall",
        summary="Take the systemd unit away; an engine that runs goes on until it is stopped",
        options=(DIRECTORY,),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    path = os.path.join(arguments.text("directory", systemd.DIRECTORY), systemd.UNIT)
    if not os.path.exists(path):
        context.console.say("The engine is not installed.")
        return 0
    if os.geteuid() != 0:
        raise EngineError("not-permitted", "only root may uninstall the engine", hint="the same with sudo")
    managed = os.path.isdir("/run/systemd/system") and not arguments.given("directory")
    if managed:
        subprocess.run(["systemctl", "disable", systemd.UNIT], capture_output=True, check=False)
    try:
        os.unlink(path)
    except OSError as error:
        raise ActionError("action-failed", f"cannot remove {path}", cause=str(error.strerror)) from error
    if managed:
        subprocess.run(["systemctl", "daemon-reload"], capture_output=True, check=False)
    context.console.say(f"{path} is gone.")
    return 0
