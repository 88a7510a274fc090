"""Processes that the kernel killed for lack of memory, told as it happens, also when only one within a container was.

v1: an eventfd on memory.oom_control (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control").
v2: memory.events, whose changes wake poll(2) (Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files").
Both files count what was killed (`oom_kill`) in the group and below it.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

from stackfile.errors import KernelError
from stackfile.runtime.cgroup.hierarchy import read_value, write_text
from stackfile.runtime.instructions import CgroupHandle
from stackfile.runtime.loop import Loop

_FILES = {1: "memory.oom_control", 2: "memory.events"}
_FIRST_LOOK, _LAST_LOOK = 0.005, 2.0
"""v1 tells before it has killed: the count is looked at again after so many seconds, then after twice as many, …"""


class Watch:
    """Follows one group's count from `begin` until `close`: `told` is called with it whenever it has risen."""

    def __init__(self, loop: Loop, group: CgroupHandle, told: Callable[[int], None]) -> None:
        self._loop = loop
        self._group = group
        self._told = told
        self.kills = 0
        """As last told."""
        self._fd = -1
        self._looking = self._closed = False

    def begin(self) -> None:
        """Where the kernel or a limit does not allow it, all is told at the end."""
        try:
            self._fd = _subscribe(self._group)
        except (OSError, KernelError) as error:
            print(f"shim: what is killed for lack of memory is told at the end: {error}", file=sys.stderr)
        if self._fd >= 0:
            # A file of v2 is always readable; one that has changed is urgent, until it is read.
            self._loop.add(self._fd, self._woken, select.EPOLLIN if self._group.version == 1 else select.EPOLLPRI)
        self.look()

    def look(self) -> None:
        """Tell what has not been told."""
        path = _counter(self._group)
        found = read_value(path, "oom_kill") if path else 0
        if found > self.kills:
            self.kills = found
            self._told(found)

    def close(self) -> None:
        """After a last look."""
        if self._closed:
            return
        self._closed = True
        self.look()
        if self._fd >= 0:
            self._loop.remove(self._fd)
            os.close(self._fd)

    def _woken(self, events: int) -> None:
        if self._group.version == 2:
            os.pread(self._fd, 4096, 0)  # until the next change
            return self.look()
        os.read(self._fd, 8)
        before = self.kills
        self.look()
        if self.kills == before and not self._looking:
            self._looking = True
            self._loop.later(_FIRST_LOOK, lambda: self._look_again(before, _FIRST_LOOK))
        return None

    def _look_again(self, before: int, pause: float) -> None:
        if self._closed:
            return
        self.look()
        self._looking = self.kills == before and pause < _LAST_LOOK
        if self._looking:
            self._loop.later(pause * 2, lambda: self._look_again(before, pause * 2))


def _counter(group: CgroupHandle) -> str:
    """The file with the count; "" on a machine without the controller."""
    paths = (f"{path}/{_FILES[group.version]}" for path in group.paths)
    return next((path for path in paths if os.path.exists(path)), "")


def _subscribe(group: CgroupHandle) -> int:
    """What becomes readable (v1) or urgent (v2) with the next change; -1 where there is nothing to follow."""
    path = _counter(group)
    if not path:
        return -1
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if group.version == 2:
        return file
    try:
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            write_text(f"{os.path.dirname(path)}/cgroup.event_control", f"{event} {file}")
        except KernelError:
            os.close(event)
            raise
        return event
    finally:
        os.close(file)
