"""A connection that was upgraded to a byte stream: attach and exec.

Without a TTY the daemon multiplexes: a frame is stream number (1 stdout, 2 stderr), three zero bytes, length (big
endian, 4 bytes), data (Docker Engine API, "Attach to a container"). With a TTY the bytes are raw. A run (of ours: a
container or a command from its first to its last byte) has frames either way, and ends with one of stream 4: how the
process ended. Stream 3 ends any output that the daemon cannot give in full, with the reason.
"""

from __future__ import annotations

import socket
from typing import Any

from stackfile import wire
from stackfile.errors import ActionError, EngineError
from stackfile.model.container import ExitStatus

CHUNK = 65536
_HEADER = 8
_FAILED, _ENDED = 3, 4


class Hijacked:
    """A live attach, exec or run. `read` blocks; `fileno` is for select, together with `pending`."""

    def __init__(
        self, sock: socket.socket, reader: Any, *, tty: bool, framed: bool | None = None, identity: str = ""
    ) -> None:
        """`framed`: by default without a TTY. `identity`: of what a run has made."""
        self._socket = sock
        self._reader = reader
        self._left = 0
        self._stream = 1
        self._framed = not tty if framed is None else framed
        self._status = b""
        self.tty = tty
        self.identity = identity
        sock.settimeout(None)

    def fileno(self) -> int:
        """Readable when output is there (or the end)."""
        return self._socket.fileno()

    def pending(self) -> bool:
        """Whether output was received that `read` has not given out yet: select does not see it."""
        self._socket.setblocking(False)
        try:
            return bool(self._reader.peek(1))
        except BlockingIOError:
            return False
        finally:
            self._socket.setblocking(True)

    def read(self) -> tuple[int, bytes]:
        """The next output as (1 stdout or 2 stderr, bytes); bytes are empty at the end, also at that of a daemon.

        Raises ActionError where the rest of the output is not to be had.
        """
        try:
            return self._read()
        except ConnectionError:
            return self._stream, b""

    def _read(self) -> tuple[int, bytes]:
        if not self._framed:
            return 1, self._reader.read1(CHUNK)
        while self._left == 0:
            header = self._reader.read(_HEADER)
            if len(header) < _HEADER:
                return self._stream, b""
            length = int.from_bytes(header[4:], "big")
            if header[0] == _FAILED:
                raise ActionError("action-failed", self._reader.read(length).decode(errors="replace"))
            if header[0] == _ENDED:
                status = self._reader.read(length)
                self._status = status if len(status) == length else b""
                return self._stream, b""
            self._stream = header[0] if header[0] in (1, 2) else 1
            self._left = length
        data = self._reader.read1(min(self._left, CHUNK))
        self._left -= len(data)
        return self._stream, data

    def status(self) -> ExitStatus:
        """How the process of a run ended, after the end of its output. Raises EngineError (`engine-unreachable`)."""
        if not self._status:
            raise EngineError("engine-unreachable", f"the daemon ended the connection: the end of {self.identity[:12]}")
        return wire.decode(self._status, ExitStatus)

    def send(self, data: bytes) -> None:
        """Write to stdin; waits while the process does not read."""
        self._socket.sendall(data)

    def close_write(self) -> None:
        """End of file on stdin; output goes on."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            # The other side has gone already, which `read` reports.
            pass

    def close(self) -> None:
        try:
            self._reader.close()
        finally:
            self._socket.close()

    def __enter__(self) -> Hijacked:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
