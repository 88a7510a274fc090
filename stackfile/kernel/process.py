"""Making processes in new namespaces and watching them: clone3(2), pidfds, start times."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import time

from stackfile.errors import KernelError
from stackfile.kernel import syscalls

CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_CLEAR_SIGHAND = 0x1_0000_0000
CLONE_INTO_CGROUP = 0x2_0000_0000
_SIGCHLD = 17

_NAMES = ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
          "set_tid_size", "cgroup")  # fmt: skip


class _CloneArgs(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in _NAMES)


_before = ctypes.pythonapi.PyOS_BeforeFork
_after_child = ctypes.pythonapi.PyOS_AfterFork_Child
_after_parent = ctypes.pythonapi.PyOS_AfterFork_Parent


def clone3(flags: int, cgroup: int = -1) -> tuple[int, int]:
    """Fork into new namespaces. Returns (pid, pidfd) to the parent and (0, -1) to the child.

    `cgroup` is the descriptor of a v2 group to be born in. Only for single-threaded processes: the child has the
    calling thread alone. Raises KernelError in the parent.
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArgs(
        flags=flags | CLONE_PIDFD | (CLONE_INTO_CGROUP if cgroup >= 0 else 0),
        pidfd=ctypes.addressof(pidfd),
        exit_signal=_SIGCHLD,
        cgroup=max(cgroup, 0),
    )
    number = ctypes.c_long(syscalls.number("clone3"))
    size = ctypes.c_long(ctypes.sizeof(arguments))
    _before()
    pid = int(syscalls.raw_keeping_gil(number, ctypes.byref(arguments), size))
    if pid == 0:
        _after_child()
        return 0, -1
    failure = ctypes.get_errno()
    _after_parent()
    if pid < 0:
        raise KernelError(failure, "clone3", f"{flags:#x}")
    return pid, pidfd.value


def pidfd_open(pid: int) -> int:
    """A pidfd of a process. Raises KernelError (ESRCH when it is gone)."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        raise KernelError(error.errno or 0, "pidfd_open", str(pid)) from error


def pidfd_of(pid: int, started: int) -> int:
    """A pidfd of the process that has had the pid since `started` (see start_time); -1 when it is gone.

    The pid may be another process's by now: that one is let alone.
    """
    try:
        pidfd = pidfd_open(pid)
    except KernelError:
        return -1
    if start_time(pid) == started:
        return pidfd
    os.close(pidfd)
    return -1


def start_time(pid: int) -> int:
    """Field 22 of /proc/<pid>/stat (clock ticks since boot): with the pid it names a process for good.

    0 when there is no such process.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rsplit(b")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


_INFO_SIZE = 80
_INFO_EXIT = 1 << 3
_PIDFD_GET_INFO = 3 << 30 | _INFO_SIZE << 16 | 0xFF << 8 | 11


def exit_status(pidfd: int) -> int | None:
    """The wait status of a process that was reaped by somebody else (PIDFD_GET_INFO, since Linux 6.15).

    None when the kernel cannot say: an older one, or the process is not reaped yet.
    """
    info = bytearray(_INFO_SIZE)
    struct.pack_into("<Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    (mask,) = struct.unpack_from("<Q", info, 0)
    return int(struct.unpack_from("<i", info, 60)[0]) if mask & _INFO_EXIT else None


def since_epoch(ticks: int) -> int:
    """A start time (clock ticks since boot) in ns since the epoch."""
    boot = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return boot + ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def state(pid: int) -> str:
    """Field 3 of /proc/<pid>/stat: R, S, D, Z, T (stopped), t (by a debugger), …; "" when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b")", 1)[1].split()[0].decode()
    except (OSError, IndexError):
        return ""


def is_alive(pid: int, started: int) -> bool:
    """Whether the process (pid, start time) is there and not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            row = file.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return False
    return int(row[19]) == started and row[0] not in (b"Z", b"X")
