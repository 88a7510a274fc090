"""Messages between the client script and the zygote, over SOCK_SEQPACKET: a letter and at most one byte more.

    client → zygote     hello             `stackfile`, version, umask, `tty` or nothing, parted by NUL; descriptors
                                          are the command (a memfd), the current directory (O_PATH), stdin, out, err
                        k n               hand on signal n
                        s                 stop the worker; answered by s when it stands still
                        c                 let it go on
                        g, d              the terminal may be read; it never can be
    zygote → client     y, n              taken; not: run it yourself
                        s                 it stands still
                        ! n               it was ended by signal n
    worker → client     t, u              wants to read the terminal; does not any more
                        x n               it ended with exit code n

The command is text parted by NUL: the number of arguments, the program as it was typed, the arguments, and the
environment as NAME=VALUE.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

import stackfile

HELLO = 4096
"""Longest first message, bytes."""
FDS = 5

SIGNAL, STOP, CONTINUE, GRANT, DENY = b"k", b"s", b"c", b"g", b"d"
TAKEN, REFUSED, STOPPED, KILLED = b"y", b"n", b"s", b"!"
WANTS_TERMINAL, LEAVES_TERMINAL, EXITED = b"t", b"u", b"x"

VANISHED = signal.SIGRTMIN
"""Tells a worker that its client is gone."""

HANDED_ON = frozenset(
    {
        signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
    }
)  # fmt: skip
TO_GROUP = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})
"""A terminal sends these to every process of the foreground group: to the programs that a command runs, too."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says first. `terminal`: its stdin is one."""

    umask: int
    terminal: bool


def parse_hello(data: bytes) -> Hello | None:
    """The first message; None when it is no client's, or one of another version."""
    parts = data.split(b"\0")
    if len(parts) != 4 or parts[0] != b"stackfile" or parts[1] != stackfile.__version__.encode():
        return None
    try:
        umask = int(parts[2], 8)
    except ValueError:
        return None
    return Hello(umask & 0o777, parts[3] == b"tty")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command as a client gives it. Bytes, as argv and environment are for the kernel."""

    typed: bytes
    arguments: tuple[bytes, ...]
    environment: dict[bytes, bytes]


def parse_command(data: bytes) -> CommandLine:
    """Raises ValueError."""
    head, _, rest = data.partition(b"\0")
    count = int(head)
    words = rest.split(b"\0")
    if not 0 <= count < len(words):
        raise ValueError("fewer arguments than announced")
    pairs = (word.partition(b"=") for word in words[count + 1 :])
    environment = {name: value for name, mark, value in pairs if name and mark}
    return CommandLine(words[0], tuple(words[1 : count + 1]), environment)
