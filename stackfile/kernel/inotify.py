"""inotify(7) by system call: which names in a directory changed."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from stackfile.kernel.syscalls import call

MODIFY = 0x2
MOVED_TO = 0x80
CREATE = 0x100
IGNORED = 0x8000
OVERFLOW = 0x4000

_EVENT = struct.Struct("iIII")


@dataclass(frozen=True, slots=True)
class Change:
    watch: int
    mask: int
    name: str


class Inotify:
    """One instance (a machine has few of them a user): watches of many directories. Non-blocking."""

    def __init__(self) -> None:
        self.fd = call("inotify_init1", os.O_CLOEXEC | os.O_NONBLOCK)

    def add(self, path: str, mask: int) -> int:
        """Watch a directory; the same number for the same directory. Raises KernelError."""
        return call("inotify_add_watch", self.fd, os.fsencode(path), mask, subject=path)

    def remove(self, watch: int) -> None:
        """Raises KernelError (EINVAL when the directory is gone, and the watch with it)."""
        call("inotify_rm_watch", self.fd, watch, subject=str(watch))

    def read(self) -> list[Change]:
        """What changed since the last call; empty when nothing did."""
        try:
            data = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return []
        changes = []
        offset = 0
        while offset < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size
            name = data[offset : offset + length].rstrip(b"\0")
            changes.append(Change(watch, mask, os.fsdecode(name)))
            offset += length
        return changes

    def close(self) -> None:
        os.close(self.fd)
