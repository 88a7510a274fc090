"""A terminal from the container's own devpts (pty(7), ioctl_tty(2))."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

_TIOCSCTTY = 0x540E
_TIOCGPTPEER = 0x5441
_TIOCSPTLCK = 0x40045431


def open_pair(multiplexer: int, uid: int, size: tuple[int, int]) -> tuple[int, int]:
    """(master, slave) of a new terminal: `multiplexer` is an open ptmx, which becomes the master.

    `size` is rows and columns, there before the program looks.

    The slave is opened through the master, not by a path that the container could have covered.
    """
    fcntl.ioctl(multiplexer, _TIOCSPTLCK, struct.pack("i", 0))
    slave = fcntl.ioctl(multiplexer, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    os.fchown(slave, uid, -1)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    return multiplexer, slave


def take(slave: int) -> None:
    """Make the slave this session's terminal and descriptors 0, 1, 2. Call after setsid."""
    fcntl.ioctl(slave, _TIOCSCTTY, 0)
    for number in (0, 1, 2):
        os.dup2(slave, number)
