"""Window size of a terminal (ioctl_tty(2), TIOCSWINSZ)."""

from __future__ import annotations

import fcntl
import struct
import termios


def resize(master: int, rows: int, columns: int) -> None:
    """Set the size; the foreground program gets SIGWINCH."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
