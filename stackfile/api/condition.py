"""How this machine's engine is, asked of its supervisor: for a status, and to say why no daemon answers."""

from __future__ import annotations

import os

from stackfile.api.replies import Process
from stackfile.errors import EngineError
from stackfile.paths import RunPaths
from stackfile.settings import Settings
from stackfile.supervisor.client import ProcessStatus, Supervisor
from stackfile.supervisor.condition import complaint, condition, described, last_lines

_LINES = 3
"""Of a log, for an error."""


def look(settings: Settings) -> list[Process]:
    """The engine's processes, the supervisor first; that one alone where it does not answer, none where none runs.

    Only root may ask: nothing for anybody else.
    """
    return [Process(**described(row)) for row in _rows(settings)]


def why(settings: Settings) -> tuple[str, str]:
    """(Cause, hint) of an error that nobody answers; empty where nothing is known to be wrong."""
    rows = [row for row in _rows(settings) if complaint(row)]
    if not rows:
        return "", ""
    lines = [complaint(row) for row in rows]
    logs = [row.log for row in rows if condition(row) == "crash loop"]
    if logs:
        lines += [
            f"its log ends: {line}" if number == 0 else line for number, line in enumerate(last_lines(logs[0], _LINES))
        ]
        return "\n".join(lines), f"see {', '.join(logs)}"
    stopped = [str(row.pid) for row in rows if condition(row) == "stopped"]
    return "\n".join(lines), f"kill -CONT {' '.join(stopped)} lets it go on" if stopped else ""


def _rows(settings: Settings) -> list[ProcessStatus]:
    if os.geteuid() != 0:
        return []
    paths = RunPaths(settings.run)
    supervisor = Supervisor(paths.supervisor)
    try:
        return list(supervisor.status().values())
    except EngineError:
        pid = _locked_by(paths)
        return [ProcessStatus("supervisor", pid, 0, 0, log=paths.log("supervisor"))] if pid else []
    finally:
        supervisor.close()


def _locked_by(paths: RunPaths) -> int:
    """Pid of the supervisor, as its lock says it; 0 where none lives."""
    try:
        with open(paths.lock) as file:
            pid = int(file.read() or 0)
        with open(f"/proc/{pid}/stat"):
            return pid
    except (OSError, ValueError):
        return 0
