"""Types of the supervisor's answers, and its message form: one JSON object a SEQPACKET message, fds by SCM_RIGHTS.

request   {"do": "hold"|"fetch"|"drop"|"keys"|"exits"|"forget"|"status"|"stop", …}
answer    {"ok": …} or {"error": "…"}
"""

from __future__ import annotations

from dataclasses import dataclass

MESSAGE = 1 << 20
"""Longest message, bytes."""


@dataclass(frozen=True, slots=True)
class OrphanExit:
    """The end of a process whose parent had died. `status` is the wait status, `start_time` field 22 of its stat."""

    pid: int
    start_time: int
    status: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One of the supervisor's children. `started` is in ns since the epoch; pid 0 while it waits to be respawned.

    `failures` counts ends in a row, each within seconds of the start: above 1 it is a crash loop. `last_end` says how
    it ended the last time, `log` is the path of what it writes.
    """

    name: str
    pid: int
    started: int
    restarts: int
    failures: int = 0
    last_end: str = ""
    log: str = ""
