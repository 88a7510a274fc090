"""What a disk or a limit of the machine refuses, told by errno instead of as an internal error (errno(3))."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from stackfile.errors import ActionError, StackfileError


class _Meaning(NamedTuple):
    reason: str
    what: str
    hint: str


_ROOM = "`stackfile system df` shows what takes the space, `stackfile system prune` makes room"
_NO_THREAD = "can't start new thread"
"""What the interpreter says of EAGAIN."""
_HARDLY = 64 * 1024
_FULL = _Meaning("disk-full", "no space left", _ROOM)
_LIMIT = _Meaning("limit-reached", "a limit of the machine is reached", "`stackfile system doctor` shows the limits")
_MEANINGS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _Meaning(
        "read-only",
        "the file system is read-only",
        "the kernel's log (`dmesg`) says why; mount it writable again",
    ),
    errno.EIO: _Meaning(
        "io-error",
        "the disk does not read or write",
        "the kernel's log (`dmesg`) says why; check the disk before you trust what is on it",
    ),
    errno.EMFILE: _LIMIT,
    errno.ENFILE: _LIMIT,
}
REASONS = frozenset(meaning.reason for meaning in _MEANINGS.values())
"""Reasons of what was not our doing and may be right the next time."""


def refusal(error: OSError, subject: str = "") -> ActionError | None:
    """The error of what a disk or a limit refused; None for all other causes. `subject` is what was written."""
    meaning = _MEANINGS.get(error.errno or 0)
    if meaning is None:
        return None
    path = subject or os.fsdecode(error.filename or "")
    cause = os.strerror(error.errno or 0)
    if error.errno == errno.ENOSPC and path and _inodes_left(path) == 0:
        cause += " (no inode is free)"
    return ActionError(
        meaning.reason,
        f"{meaning.what} for {path}" if path else meaning.what,
        cause=cause,
        hint=meaning.hint,
        details={"errno": error.errno, "path": path},
    )


def exhausted(path: str, message: str) -> ActionError | None:
    """The error `message` of a program that failed while there was hardly any room where it writes (`path`)."""
    state = os.statvfs(nearest(path))
    room = state.f_bavail * state.f_frsize
    if (not state.f_blocks or room >= _HARDLY) and _inodes_left(path) != 0:
        return None
    return ActionError(
        _FULL.reason,
        message,
        cause=f"{os.strerror(errno.ENOSPC)}: {room} bytes are free for {path}",
        hint=_FULL.hint,
        details={"errno": errno.ENOSPC, "path": path},
    )


def no_process(error: BaseException) -> ActionError:
    """The error of a fork or of a thread's start that the kernel refused with EAGAIN (fork(2), pthread_create(3))."""
    return ActionError(
        _LIMIT.reason,
        "no more processes and threads",
        cause=str(error),
        hint="see pids.max of the engine's cgroup and of those above it, kernel.threads-max and kernel.pid_max",
    )


def understood(error: BaseException) -> StackfileError:
    """`error` when it is one of ours; what a disk or a limit refused; anything else is a broken invariant."""
    if isinstance(error, StackfileError):
        return error
    known = refusal(error) if isinstance(error, OSError) else None
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        known = no_process(error)
    name = type(error).__name__
    return known or ActionError("internal", f"internal error: {name}", cause=str(error), hint="see the daemon's log")


def nearest(path: str) -> str:
    """The first of `path` and its parents that is there."""
    while path and not os.path.exists(path):
        path = os.path.dirname(path)
    return path or "/"


def _inodes_left(path: str) -> int:
    """Free inodes where `path` lies; -1 where the file system does not count them."""
    try:
        found = os.statvfs(nearest(path))
    except OSError:
        return -1
    return found.f_favail if found.f_files else -1
