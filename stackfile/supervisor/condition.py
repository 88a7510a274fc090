"""What is wrong with one of the engine's processes, in words."""

from __future__ import annotations

import os
from typing import Any

from stackfile.kernel.process import state
from stackfile.supervisor.protocol import ProcessStatus

CRASHES = 2
"""Ends in a row, each soon after the start, that make a crash loop."""
_TAIL = 4096
"""Bytes of a log that its last lines are in."""


def condition(row: ProcessStatus) -> str:
    """`running`, `stopped` (by a signal or debugger), `crash loop`, or `away` (it ended, and is started again)."""
    if row.pid and state(row.pid) in ("T", "t"):
        return "stopped"
    if row.failures >= CRASHES:
        return "crash loop"
    return "running" if row.pid else "away"


def described(row: ProcessStatus) -> dict[str, Any]:
    """A process as the API tells it."""
    return {
        "name": row.name,
        "pid": row.pid,
        "state": condition(row),
        "started_ns": row.started,
        "restarts": row.restarts,
        "failures": row.failures,
        "last_end": row.last_end,
        "log": row.log,
    }


def last_lines(path: str, count: int) -> list[str]:
    """The end of a log; nothing where there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _TAIL, 0))
            return file.read().decode(errors="replace").strip().splitlines()[-count:]
    except OSError:
        return []


def complaint(row: ProcessStatus) -> str:
    """What is wrong with it; "" for one that runs."""
    found = condition(row)
    if found == "stopped":
        return f"the {row.name} is stopped (pid {row.pid})"
    if found == "crash loop":
        return f"the {row.name} ended {row.failures} times in a row, the last time with {row.last_end or 'no process'}"
    return f"the {row.name} is away" if found == "away" else ""
