"""Who has a command run: what a worker can take on of that process, and what it must not pretend to be."""

from __future__ import annotations

import os
import resource
import socket
import struct
from dataclasses import dataclass

from stackfile.kernel.syscalls import PR_SET_DUMPABLE, prctl

_SO_PEERGROUPS = 59
_UCRED = struct.Struct("3i")
_NAMESPACES = ("mnt", "net", "user", "pid", "uts", "ipc")
_STATUS = ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")
_LIMITS = {
    "Max cpu time": resource.RLIMIT_CPU,
    "Max file size": resource.RLIMIT_FSIZE,
    "Max data size": resource.RLIMIT_DATA,
    "Max stack size": resource.RLIMIT_STACK,
    "Max core file size": resource.RLIMIT_CORE,
    "Max processes": resource.RLIMIT_NPROC,
    "Max open files": resource.RLIMIT_NOFILE,
    "Max locked memory": resource.RLIMIT_MEMLOCK,
    "Max address space": resource.RLIMIT_AS,
    "Max resident set": resource.RLIMIT_RSS,
    "Max file locks": 10,
    "Max pending signals": resource.RLIMIT_SIGPENDING,
    "Max msgqueue size": resource.RLIMIT_MSGQUEUE,
    "Max nice priority": resource.RLIMIT_NICE,
    "Max realtime priority": resource.RLIMIT_RTPRIO,
    "Max realtime timeout": resource.RLIMIT_RTTIME,
}
"""Names of proc(5), all that there are; of file locks Python has no number (getrlimit(2))."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The process behind a socket, as the kernel vouches for it (SO_PEERCRED, SO_PEERGROUPS, socket(7), unix(7))."""

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...]

    def become(self) -> None:
        """Take its limits and its rights, for good. Raises OSError.

        Limits first, as /proc/<pid>/limits can be read by everybody and only lowering is needed; then groups, gid and
        uid in this order, since each needs the rights that the next one gives up.
        """
        take_limits(self.pid)
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)
        # A change of uid makes /proc/self unreadable to ourselves; nothing of another caller is in this memory.
        prctl(PR_SET_DUMPABLE, 1)


def of(sock: socket.socket) -> Caller:
    """The process at the other end. Raises OSError, for one in more groups than Python lets us ask for (256) too."""
    level = socket.SOL_SOCKET
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(level, socket.SO_PEERCRED, _UCRED.size))
    raw = sock.getsockopt(level, _SO_PEERGROUPS, 1024)
    return Caller(pid, uid, gid, tuple(number for (number,) in struct.iter_unpack("I", raw)))


class Standing:
    """What cannot be taken on: root directory, namespaces, capabilities, seccomp. A caller must have them as we do."""

    def __init__(self) -> None:
        self._view = _view(os.getpid())
        self._status = _status(os.getpid())

    def allows(self, caller: Caller) -> bool:
        """Whether a child of ours can do for `caller` what its own process would. False where we cannot know."""
        if caller.pid <= 0:
            return False
        try:
            if _view(caller.pid) != self._view:
                return False
            status = _status(caller.pid)
        except OSError:
            return False
        if caller.uid != 0:
            # A change of uid leaves no capabilities: a caller with some has more than we would give it.
            return {**status, "CapEff": self._status["CapEff"]} == self._status and int(status["CapEff"], 16) == 0
        return status == self._status


def _view(pid: int) -> tuple[tuple[int, int], ...]:
    places = (f"/proc/{pid}/root", *(f"/proc/{pid}/ns/{name}" for name in _NAMESPACES))
    return tuple((found.st_dev, found.st_ino) for found in map(os.stat, places))


def _status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        rows = dict(line.rstrip("\n").split(":\t", 1) for line in file if line.startswith(_STATUS))
    return {name: rows.get(name, "") for name in _STATUS}


def take_limits(pid: int) -> None:
    """Lower our resource limits to those of process `pid`; what would raise a hard limit stays as it is."""
    with open(f"/proc/{pid}/limits") as file:
        rows = file.read().splitlines()[1:]
    for row in rows:
        kind = _LIMITS.get(row[:26].rstrip())
        if kind is None:
            continue
        soft, hard = (_limit(text) for text in row[26:].split()[:2])
        present = resource.getrlimit(kind)
        if (soft, hard) == present:
            continue
        hard = _lower(hard, present[1])
        resource.setrlimit(kind, (_lower(soft, hard), hard))


def _limit(text: str) -> int:
    return resource.RLIM_INFINITY if text == "unlimited" else int(text)


def _lower(one: int, other: int) -> int:
    if resource.RLIM_INFINITY in (one, other):
        return other if one == resource.RLIM_INFINITY else one
    return min(one, other)
