"""The user's terminal in raw mode, and back, whatever happens (termios(3), cfmakeraw)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STDIN, STDOUT, STDERR = 0, 1, 2


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
        if os.tcgetpgrp(STDIN) == os.getpgrp():
            tty.setraw(STDIN, termios.TCSADRAIN)

    previous = signal.signal(signal.SIGCONT, again)
    try:
        tty.setraw(STDIN, termios.TCSADRAIN)
        yield
    finally:
        signal.signal(signal.SIGCONT, previous)
        termios.tcsetattr(STDIN, termios.TCSADRAIN, saved)
