"""The user's terminal in raw mode, and back, whatever happens (termios(3), cfmakeraw)."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

STDIN, STDOUT, STDERR = 0, 1, 2
_AGAIN = 0.05
"""Seconds between two looks at a gate that is shut."""


class Gate(Protocol):
    """Stands in front of a terminal that is not our session's, where the kernel's job control does not bind us."""

    def enter(self) -> bool:
        """Wait until the terminal may be read. False: it never may."""
        ...

    def leave(self) -> None: ...

    def is_open(self) -> bool:
        """Whether the grant holds this moment: a client that was stopped by SIGSTOP could not take it back."""
        ...


gate: Gate | None = None
"""Set by a worker whose stdin is a terminal; in a process of the user's own session the kernel is the gate."""


@contextmanager
def reading() -> Iterator[bool]:
    """While stdin is read. Gives False where that would fail with EIO: an orphaned job in the background."""
    if gate is None or not is_terminal(STDIN):
        yield True
        return
    allowed = gate.enter()
    try:
        yield allowed
    finally:
        if allowed:
            gate.leave()


def wait_until_readable(wake: int = -1) -> bool:
    """Wait until stdin can be read and may be. False when `wake` became readable first."""
    watched = [STDIN, wake] if wake >= 0 else [STDIN]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if wake in ready:
            return False
        if gate is None or gate.is_open():
            return True
        # What is typed now is for whoever has the terminal meanwhile.
        time.sleep(_AGAIN)


def is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def size() -> tuple[int, int]:
    """(rows, columns) of the terminal on stdout or stdin; (0, 0) where there is none."""
    for descriptor in (STDOUT, STDIN):
        try:
            found = os.get_terminal_size(descriptor)
        except OSError:
            continue
        return found.lines, found.columns
    return 0, 0


@contextmanager
def raw() -> Iterator[None]:
    """Keys go to the container as they are typed. After a stop (SIGSTOP, SIGCONT) the mode is set again."""
    import termios
    import tty

    saved = termios.tcgetattr(STDIN)

    def again(number: int, frame: FrameType | None) -> None:
        # In the background setting it would only stop us again.
        if _in_foreground():
            tty.setraw(STDIN, termios.TCSADRAIN)

    previous = signal.signal(signal.SIGCONT, again)
    try:
        tty.setraw(STDIN, termios.TCSADRAIN)
        yield
    finally:
        signal.signal(signal.SIGCONT, previous)
        termios.tcsetattr(STDIN, termios.TCSADRAIN, saved)


def _in_foreground() -> bool:
    if gate is not None:
        return True  # whoever let us go on has looked
    return os.tcgetpgrp(STDIN) == os.getpgrp()
