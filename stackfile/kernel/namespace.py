"""Network namespaces: making them, and working inside one (network_namespaces(7))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from stackfile.kernel.syscalls import NEWNET, setns, unshare

_SELF = "/proc/thread-self/ns/net"


def current() -> int:
    """A descriptor of the calling thread's network namespace."""
    return os.open(_SELF, os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def inside(fd: int) -> Iterator[None]:
    """Run the block with the calling thread in the network namespace `fd`. Sockets opened in it stay there."""
    home = current()
    try:
        setns(fd, NEWNET)
        try:
            yield
        finally:
            setns(home, NEWNET)
    finally:
        os.close(home)


@contextmanager
def fresh() -> Iterator[int]:
    """Run the block with the calling thread in a new network namespace; gives its descriptor, which the caller owns.

    The descriptor is closed when the block fails.
    """
    home = current()
    try:
        unshare(NEWNET)
        try:
            fd = current()
            try:
                yield fd
            except BaseException:
                os.close(fd)
                raise
        finally:
            setns(home, NEWNET)
    finally:
        os.close(home)
