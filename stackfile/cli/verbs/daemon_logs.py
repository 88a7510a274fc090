"""`daemon logs`: what the engine's own processes wrote."""

from __future__ import annotations

import time
from typing import IO

from stackfile import settings
from stackfile.cli.arguments import Arguments, Verb, option
from stackfile.cli.context import Context
from stackfile.errors import EngineError
from stackfile.paths import RunPaths

PROCESSES = ("daemon", "supervisor", "shim", "resolver")
_PAUSE = 0.2


def register() -> Verb:
    return Verb(
        name="daemon logs",
        summary="The log of the daemon, or of another process of the engine",
        operands="[daemon|supervisor|shim|resolver]",
        maximum=1,
        options=(option("-f --follow", "go on with what comes"), option("-n --tail", "last lines only", "N")),
        run=run,
    )


def run(context: Context, arguments: Arguments) -> int:
    name = arguments.positional[0] if arguments.positional else "daemon"
    tail = arguments.integer("tail")
    path = RunPaths(settings.load(context.environ).run).log(name)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
            for line in lines if tail is None else lines[max(0, len(lines) - tail) :]:
                context.console.print(line.rstrip("\n"))
            if arguments.flag("follow"):
                _follow(context, file)
    except OSError as error:
        reason = "not-permitted" if isinstance(error, PermissionError) else "engine-unreachable"
        raise EngineError(reason, f"cannot read {path}", cause=str(error.strerror)) from error
    return 0


def _follow(context: Context, file: IO[str]) -> None:
    """Until ctrl-C. The file is written by another process; there is nothing to wait on but time."""
    while True:
        while line := file.readline():
            context.console.print(line.rstrip("\n"))
        time.sleep(_PAUSE)
