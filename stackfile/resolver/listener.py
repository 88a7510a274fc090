"""The sockets of one container: reading queries, sending answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

from stackfile import log
from stackfile.resolver import packet
from stackfile.resolver.answers import Answers, View

_LOG = log.get(__name__)
_DRAIN = 64
"""Datagrams answered in a row before the loop looks at other containers."""
_SIZE = 4096
_IDLE = 10.0
"""Seconds that a TCP client may be silent."""
_MAX_CONNECTIONS = 64


class Listener:
    """Serves 127.0.0.11 of one container. Reads nothing until the table knows the container (`begin`)."""

    def __init__(self, identity: str, udp: socket.socket, tcp: socket.socket, answers: Answers) -> None:
        self._identity = identity
        self._udp = udp
        self._tcp = tcp
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._reading = False
        for sock in (udp, tcp):
            sock.setblocking(False)

    @property
    def descriptors(self) -> list[int]:
        """Of the UDP and the TCP socket."""
        return [self._udp.fileno(), self._tcp.fileno()]

    def begin(self) -> None:
        """Start reading, also what has been waiting in the sockets."""
        if not self._reading:
            self._reading = True
            self._loop.add_reader(self._udp, self._datagrams)
            self._loop.add_reader(self._tcp, self._accept)

    def close(self) -> None:
        """Stop, and close the sockets (they keep the container's namespace alive)."""
        for sock in (self._udp, self._tcp):
            self._loop.remove_reader(sock)
            sock.close()
        for task in self._tasks:
            task.cancel()

    def _datagrams(self) -> None:
        view = self._answers.view(self._identity)
        if view is None:
            return
        for _ in range(_DRAIN):
            try:
                query, source = self._udp.recvfrom(_SIZE)
            except OSError:
                return  # nothing more, or an error of an earlier answer
            if not packet.is_query(query):
                continue
            answer = view.answer(query)
            if answer is None:
                self._spawn(self._forward(view, query, source))
            else:
                self._send(answer, source)

    async def _forward(self, view: View, query: bytes, source: Any) -> None:
        self._send(await self._answers.forward(view, query), source)

    def _send(self, answer: bytes, destination: Any) -> None:
        try:
            self._udp.sendto(answer, destination)
        except OSError as error:  # the client is gone, or the socket full: it will ask again
            _LOG.debug("%s: answer not sent: %s", self._identity, error)

    def _accept(self) -> None:
        try:
            connection, _ = self._tcp.accept()
        except OSError:
            return
        if self._connections >= _MAX_CONNECTIONS:
            connection.close()
            return
        self._spawn(self._stream(connection))

    async def _stream(self, connection: socket.socket) -> None:
        self._connections += 1
        try:
            connection.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=connection)
            try:
                while await self._exchange(reader, writer):
                    pass
            finally:
                writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client went away, or was silent for too long
        finally:
            self._connections -= 1

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One query over TCP, with its length in front (RFC 7766). False when there is nothing to answer."""
        async with asyncio.timeout(_IDLE):
            length = int.from_bytes(await reader.readexactly(2), "big")
        async with asyncio.timeout(_IDLE):
            query = await reader.readexactly(length)
        view = self._answers.view(self._identity)
        if view is None or not packet.is_query(query):
            return False
        answer = view.answer_in_full(query) or await self._answers.forward(view, query, stream=True)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        await writer.drain()
        return True

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
