"""Flags of inodes that forbid changes (ioctl_iflags(2))."""

from __future__ import annotations

import fcntl
import os
import struct

_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20


def unlock(path: str) -> bool:
    """Clear `immutable` and `append only`; whether anything was changed. False where it has no such flags."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        (flags,) = struct.unpack("l", fcntl.ioctl(fd, _GETFLAGS, struct.pack("l", 0)))
        if not flags & (_IMMUTABLE | _APPEND_ONLY):
            return False
        fcntl.ioctl(fd, _SETFLAGS, struct.pack("l", flags & ~(_IMMUTABLE | _APPEND_ONLY)))
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
