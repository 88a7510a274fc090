"""The channel between shim and child: how far it came, what failed, when it may go on.

child → shim: {"pty": 1} with the terminal's master; {"error": {…}}; the end of file when execve succeeded.
shim → child: "go", once the shim has recorded the process.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from stackfile.errors import KernelError
from stackfile.kernel import seqpacket

GO = b"go"


class Channel:
    """The child's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._step = "set up"

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Failures inside are reported as failures of this step."""
        self._step = name
        yield

    def send_terminal(self, master: int) -> None:
        seqpacket.send(self._socket, json.dumps({"pty": 1}).encode(), [master])

    def wait_for_go(self) -> None:
        """Wait until the shim has recorded this process; end here when the shim is gone."""
        if self._socket.recv(16) != GO:
            os._exit(1)

    def fail(self, error: BaseException, program: str = "") -> None:
        """Tell the shim what failed."""
        described: dict[str, object] = {"step": self._step, "program": program, "errno": 0, "message": repr(error)}
        if isinstance(error, KernelError):
            described.update(errno=error.errno, message=error.message)
        elif isinstance(error, OSError):
            described.update(errno=error.errno or 0, message=f"{error.filename or ''}")
        try:
            seqpacket.send(self._socket, json.dumps({"error": described}).encode())
        except OSError:
            pass  # the shim is gone; there is nobody else to tell

    def close(self) -> None:
        self._socket.close()
