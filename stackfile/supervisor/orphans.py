"""Reaping: the supervisor is the subreaper of everything below it, so it is the last to see how a process ended."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from stackfile.kernel.process import start_time
from stackfile.supervisor.protocol import OrphanExit

_KEPT = 10_000
"""Ends that nobody asks for are forgotten, oldest first."""


class Orphans:
    """Ends of processes whose parent had died."""

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[int, int], OrphanExit] = OrderedDict()

    def reap(self) -> list[tuple[int, int]]:
        """Collect everything that is dead; (pid, wait status) of each."""
        collected = []
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            started = start_time(found.si_pid)  # readable only as long as it is a zombie
            pid, status = os.waitpid(found.si_pid, 0)
            collected.append((pid, status))
            self._record(OrphanExit(pid, started, status, time.time_ns()))
        return collected

    def _record(self, end: OrphanExit) -> None:
        self._ends[end.pid, end.start_time] = end
        while len(self._ends) > _KEPT:
            self._ends.popitem(last=False)

    def restore(self, rows: Iterable[Sequence[int]]) -> None:
        """Ends that were recorded before, in their order."""
        for row in rows:
            self._record(OrphanExit(*row))

    def ends(self) -> list[OrphanExit]:
        return list(self._ends.values())

    def forget(self, pid: int, started: int) -> None:
        self._ends.pop((pid, started), None)

    def forget_pid(self, pid: int) -> None:
        """A child of the supervisor itself is no orphan."""
        for key in [key for key in self._ends if key[0] == pid]:
            del self._ends[key]
