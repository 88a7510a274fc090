"""Whether the supervisor is there, for its children: they outlive it, and it comes back or is brought back."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping

from stackfile.kernel import seqpacket

LONE = 30.0
"""Seconds without a supervisor after which a process that nobody needs by itself ends."""


class Presence:
    """A connection that says nothing: it is readable, at its end, when the supervisor has gone."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def find(self) -> bool:
        """Connect to the present supervisor; False while there is none."""
        self.close()
        try:
            self._socket = seqpacket.connect(self._path)
        except OSError:
            return False
        return True

    def fileno(self) -> int:
        """-1 unless connected."""
        return self._socket.fileno() if self._socket else -1

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def announce(descriptor: int, text: str = "ok") -> bool:
    """Tell the supervisor that started us how far we are, and close the descriptor (-1: nobody asked).

    False when that supervisor has gone: the next one starts processes of its own, and we have to end.
    """
    if descriptor < 0:
        return True
    try:
        os.write(descriptor, f"{text}\n".encode())
    except BrokenPipeError:
        return False
    finally:
        os.close(descriptor)
    return True


def launch(settings: Mapping[str, str]) -> int:
    """Start a supervisor in the background, with these variables: the pid of what does it.

    That one ends with 0, or with 75 where another supervisor is there.
    """
    argv = [sys.executable, "-I", "-m", "stackfile.supervisor"]
    no_input = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    return os.posix_spawn(sys.executable, argv, {**os.environ, **settings}, file_actions=no_input)
