"""The supervisor as its children see it: blocking, well below a millisecond a call."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Sequence
from typing import Any

from stackfile.errors import EngineError
from stackfile.kernel import seqpacket
from stackfile.supervisor.protocol import MESSAGE, OrphanExit, ProcessStatus

__all__ = ["OrphanExit", "ProcessStatus", "Supervisor"]

_PATIENCE = 5.0
"""Seconds to wait for an answer."""


class Supervisor:
    """A connection to the supervisor; made when first needed and again when it was lost. For one thread.

    Every call raises EngineError (`engine-unreachable`) when no supervisor answers.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def hold(self, key: str, fds: Sequence[int]) -> None:
        """Have the supervisor keep duplicates of `fds` under `key`, in place of what it kept there.

        Returns when the request is sent: from then on the descriptors live on whatever becomes of this process.
        """
        self._tell({"do": "hold", "key": key}, fds)

    def fetch(self, key: str) -> list[int]:
        """Duplicates of what is kept under `key` (the caller closes them); empty when the key is unknown."""
        return self._call({"do": "fetch", "key": key})[1]

    def drop(self, *prefixes: str) -> None:
        """Let go of each of `prefixes` and of every key below it (`prefix/…`). Returns when the request is sent."""
        self._tell({"do": "drop", "prefixes": prefixes})

    def keys(self, prefix: str = "") -> list[str]:
        """Keys that are `prefix` or lie below `prefix/` (all of them for an empty prefix)."""
        return list(self._call({"do": "keys", "prefix": prefix})[0])

    def exits(self) -> list[OrphanExit]:
        """Ends of orphans that nobody has forgotten yet."""
        return [OrphanExit(*row) for row in self._call({"do": "exits"})[0]]

    def forget(self, pid: int, start_time: int) -> None:
        """Forget a recorded end."""
        self._call({"do": "forget", "pid": pid, "start_time": start_time})

    def status(self) -> dict[str, ProcessStatus]:
        """The supervisor itself and its children, by name."""
        return {row[0]: ProcessStatus(*row) for row in self._call({"do": "status"})[0]}

    def upgrade(self, program: Sequence[str]) -> None:
        """Have it become another program, an interpreter with its options, and then renew its children.

        Returns when it is about to. EngineError when it cannot now.
        """
        self._call({"do": "upgrade", "program": list(program)})

    def stop(self) -> None:
        """Ask for the end of daemon, resolver, shim and supervisor. Returns when it has begun."""
        self._call({"do": "stop"})

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _lost(self) -> None:
        """The connection has ended: before another one is made."""

    def _tell(self, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a request that has no answer; it is served before what is asked later on this connection."""
        data = json.dumps({**request, "quiet": True}).encode()
        try:
            seqpacket.send(self._connected(), data, fds)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.EBADF):
                raise
            self.close()
            self._lost()
            try:
                seqpacket.send(self._connected(), data, fds)
            except OSError as again:
                raise self._unreachable(again) from again

    def _call(self, request: dict[str, Any], fds: Sequence[int] = ()) -> tuple[Any, list[int]]:
        try:
            answer, received = self._exchange(request, fds)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.EBADF):
                raise
            # A respawned supervisor is at the same path: once more, on a fresh connection.
            self.close()
            if isinstance(error, TimeoutError):
                raise self._unreachable(error) from error
            self._lost()
            try:
                answer, received = self._exchange(request, fds)
            except OSError as again:
                raise self._unreachable(again) from again
        if "error" in answer:
            for fd in received:
                os.close(fd)
            raise EngineError("engine-unreachable", f"supervisor: {request['do']}", cause=answer["error"])
        return answer["ok"], received

    def _exchange(self, request: dict[str, Any], fds: Sequence[int]) -> tuple[dict[str, Any], list[int]]:
        sock = self._connected()
        seqpacket.send(sock, json.dumps(request).encode(), fds)
        data, received = seqpacket.receive(sock, MESSAGE)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the supervisor closed the connection")
        return json.loads(data), received

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = seqpacket.connect(self._path, MESSAGE)
            self._socket.settimeout(_PATIENCE)
        return self._socket

    def _unreachable(self, error: OSError) -> EngineError:
        cause = f"nothing in {_PATIENCE:g} s" if isinstance(error, TimeoutError) else str(error)
        return EngineError("engine-unreachable", f"the supervisor at {self._path} does not answer", cause=cause)
