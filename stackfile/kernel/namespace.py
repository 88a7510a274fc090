"""Network namespaces: making them, and working inside one (setns(2), unshare(2), network_namespaces(7))."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from stackfile.errors import KernelError

CLONE_NEWNET = 0x40000000

_SELF = "/proc/thread-self/ns/net"
_libc = ctypes.CDLL(None, use_errno=True)


def setns(fd: int, kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into the namespace `fd`. Other threads stay where they are."""
    if _libc.setns(fd, kind):
        raise KernelError(ctypes.get_errno(), "setns", f"fd {fd}")


def unshare(kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into a fresh namespace."""
    if _libc.unshare(kind):
        raise KernelError(ctypes.get_errno(), "unshare", hex(kind))


def current() -> int:
    """A descriptor of the calling thread's network namespace."""
    return os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def inside(fd: int) -> Iterator[None]:
    """Run the block with the calling thread in the network namespace `fd`. Sockets opened in it stay there."""
    home = current()
    try:
        setns(fd)
        try:
            yield
        finally:
            setns(home)
    finally:
        os.close(home)


@contextmanager
def fresh() -> Iterator[int]:
    """Run the block with the calling thread in a new network namespace; gives its descriptor, which the caller owns.

    The descriptor is closed when the block fails.
    """
    home = current()
    try:
        unshare()
        try:
            fd = current()
            try:
                yield fd
            except BaseException:
                os.close(fd)
                raise
        finally:
            setns(home)
    finally:
        os.close(home)
