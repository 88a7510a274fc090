"""`daemon install`: start the engine at boot, and let a group use it."""

from __future__ import annotations

import grp
import os
import subprocess
import sys
from dataclasses import replace

from stackfile import settings
from stackfile.cli import systemd
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import ActionError, EngineError, UsageError
from stackfile.settings import Settings

DIRECTORY = option("--directory", f"where units lie ({systemd.DIRECTORY})", "DIR")


def register() -> Verb:
    return Verb(
        name="daemon install",
        summary="Have systemd start the engine at boot; with --group its members need no root",
        options=(
            option("--group", "group that may use the socket, and is as powerful as root thereby", "NAME"),
            option("--dry-run", "print the unit, change nothing"),
            DIRECTORY,
        ),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    group = arguments.text("group")
    found = settings.load(context.environ)
    if group:
        found = replace(found, socket_group=group)
        _check(group)
    text = systemd.service(found, sys.executable)
    path = os.path.join(arguments.text("directory", systemd.DIRECTORY), systemd.UNIT)
    if arguments.flag("dry-run"):
        context.console.print(f"# {path}\n{text}".rstrip())
        return 0
    if os.geteuid() != 0:
        raise EngineError("not-permitted", "only root may install the engine", hint="the same with sudo")
    _write(path, text)
    context.console.say(f"{path} is written.")
    if group and os.path.exists(found.socket):
        _open(found, group)
    if os.path.isdir("/run/systemd/system") and not arguments.given("directory"):
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", systemd.UNIT)
        context.console.say("systemd starts the engine now and at boot.")
    else:
        context.console.say("systemd does not run here; it will start the engine where it does.")
    return 0


def _check(group: str) -> None:
    try:
        grp.getgrnam(group)
    except KeyError as error:
        raise UsageError("usage", f"no such group: {group}", hint=f"groupadd --system {group} makes it") from error


def _write(path: str, text: str) -> None:
    try:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{path}.new", 0o644)
        os.rename(f"{path}.new", path)
    except OSError as error:
        raise ActionError("action-failed", f"cannot write {path}", cause=str(error.strerror)) from error


def _open(found: Settings, group: str) -> None:
    """An engine that runs already lets the group in at once."""
    identity = grp.getgrnam(group).gr_gid
    os.chown(found.run, -1, identity)
    os.chmod(found.run, 0o710)
    os.chown(found.socket, -1, identity)


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ActionError("action-failed", f"systemctl {' '.join(words)} failed", cause=done.stderr.strip())
