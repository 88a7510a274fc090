"""Which process is which child, for a supervisor that takes over from a killed one.

RUN/<name>.pid holds "<pid> <start time>", written by the child itself before it executes its program, so that there is
no moment in which it lives unknown; the supervisor adds "ready" once the child has said that it serves.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from stackfile.kernel.process import start_time

_READY = "ready"


@dataclass(frozen=True, slots=True)
class Record:
    """A child as it was written down. `started` is field 22 of its stat."""

    pid: int
    started: int
    ready: bool


def write(path: str) -> None:
    """This process is the child from now on."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.write(fd, f"{os.getpid()} {start_time(os.getpid())}\n".encode())
        os.close(fd)
    except OSError:
        pass  # a full run root: better one that cannot be adopted than none


def mark_ready(path: str) -> None:
    """The child of this record serves."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.write(fd, f"{_READY}\n".encode())
        os.close(fd)
    except OSError:
        pass  # as above


def read(path: str) -> Record | None:
    """The child that was written down, which need not live any more; None when there is none, or half of one."""
    try:
        with open(path) as file:
            words = file.read().split()
        return Record(int(words[0]), int(words[1]), words[2:] == [_READY])
    except (OSError, ValueError, IndexError):
        return None


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
