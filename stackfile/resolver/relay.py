"""The relay: leads what comes to a published port over IPv6 to a container, where no address translation can.

That is `[::1]`, and every IPv6 address of the machine for a container that has IPv4 alone. The sockets are those that
reserve the ports: bound, held by the supervisor, and made to listen only while there is somewhere to lead to. The
container sees the machine as its peer, as behind Docker's userland proxy.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Sequence

Backend = tuple[str, int]

_CHUNK = 1 << 16
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_BACKLOG = 512
_PATIENCE = 10.0
"""Seconds for a container to take a connection."""
_IDLE, _SWEEP = 90.0, 15.0
"""Seconds after which a silent UDP client is forgotten, and how often that is looked at."""
_DATAGRAM = 1 << 16
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Rotation:
    """Backends in turn."""

    def __init__(self) -> None:
        self.backends: tuple[Backend, ...] = ()
        self._next = 0

    def turn(self) -> tuple[Backend, ...]:
        """All backends, beginning with the one whose turn it is."""
        start = self._next % len(self.backends) if self.backends else 0
        self._next += 1
        return self.backends[start:] + self.backends[:start]


class TcpRelay:
    """One TCP port. Takes `listener`, which is bound and may not listen yet."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._listener.setblocking(False)
        self._rotation = Rotation()
        self._listening = False
        self._opening: set[asyncio.Task[None]] = set()
        self._streams: set[_Stream] = set()

    def lead(self, backends: Sequence[Backend]) -> None:
        """Lead new connections to these; with none the port refuses them."""
        self._rotation.backends = tuple(backends)
        if backends and not self._listening:
            # Connections that last, or have just ended, are in nobody's way then: they have the option from here.
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.listen(_BACKLOG)
            asyncio.get_running_loop().add_reader(self._listener, self._accept)
            self._listening = True
        elif not backends:
            self._refuse()

    def close(self) -> None:
        """Let the port go; connections that are open end."""
        self._refuse()
        self._listener.close()
        for task in list(self._opening):
            task.cancel()
        for stream in list(self._streams):
            stream.abort()

    def _refuse(self) -> None:
        """Stop listening; the socket stays bound."""
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.shutdown(socket.SHUT_RD)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            self._listening = False

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_BACKLOG):
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:  # wait for others to end, without spinning
                    loop.remove_reader(self._listener)
                    loop.call_later(0.1, self._resume)
                return
            client.setblocking(False)
            task = loop.create_task(self._open(client))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _resume(self) -> None:
        if self._listening:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def _open(self, client: socket.socket) -> None:
        try:
            server = await _connect(self._rotation.turn())
        except BaseException:
            client.close()
            raise
        if server is None:
            client.close()
            return
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._streams.add(_Stream(client, server, self._streams.discard))
        except OSError:
            client.close()
            server.close()


async def _connect(backends: Sequence[Backend]) -> socket.socket | None:
    """A connection to the first of the backends that takes one."""
    loop = asyncio.get_running_loop()
    for address, port in backends:
        server = socket.socket(_family(address), socket.SOCK_STREAM)
        server.setblocking(False)
        try:
            async with asyncio.timeout(_PATIENCE):
                await loop.sock_connect(server, (address, port))
        except (OSError, TimeoutError):
            server.close()
            continue
        except BaseException:
            server.close()
            raise
        return server
    return None


class _Stream:
    """A connection: two directions, each through a pipe that the kernel splices into and out of."""

    def __init__(self, client: socket.socket, server: socket.socket, ended: Callable[[_Stream], None]) -> None:
        self._sockets = (client, server)
        self._ended = ended
        there = _Direction(client, server, self)
        try:
            back = _Direction(server, client, self)
        except BaseException:
            there.close()
            raise
        self._directions = (there, back)
        for direction in self._directions:
            direction.start()

    def finished(self) -> None:
        """A direction came to its end."""
        if all(direction.done for direction in self._directions):
            self.abort()

    def abort(self) -> None:
        """Close everything."""
        for direction in self._directions:
            direction.close()
        for sock in self._sockets:
            sock.close()
        self._ended(self)


class _Direction:
    """What one side sends, on its way to the other."""

    def __init__(self, source: socket.socket, target: socket.socket, stream: _Stream) -> None:
        self._source, self._target = source, target
        self._stream = stream
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pending = 0
        self._ends = False
        self._closed = False
        self.done = False

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._source, self._read)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._source)
        loop.remove_writer(self._target)
        os.close(self._out)
        os.close(self._in)

    def _read(self) -> None:
        try:
            self._pending = os.splice(self._source.fileno(), self._in, _CHUNK, flags=_FLAGS)
        except BlockingIOError:
            return
        except OSError:
            self._stream.abort()
            return
        if self._pending == 0:
            asyncio.get_running_loop().remove_reader(self._source)
            self._ends = True
        self._write()

    def _write(self) -> None:
        """Pass on what was read; as long as some is left, nothing more is read."""
        loop = asyncio.get_running_loop()
        while self._pending:
            try:
                self._pending -= os.splice(self._out, self._target.fileno(), self._pending, flags=_FLAGS)
            except BlockingIOError:
                loop.remove_reader(self._source)
                loop.add_writer(self._target, self._resume)
                return
            except OSError:
                self._stream.abort()
                return
        if self._ends:
            self._finish()

    def _resume(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_writer(self._target)
        if not self._ends:
            loop.add_reader(self._source, self._read)
        self._write()

    def _finish(self) -> None:
        """The source will send no more: say so to the target."""
        try:
            self._target.shutdown(socket.SHUT_WR)
        except OSError:
            self._stream.abort()
            return
        self.done = True
        self._stream.finished()


class UdpRelay:
    """One UDP port: each client gets a socket of its own towards the container, for as long as it is not silent."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._socket.setblocking(False)
        # An answer has to come from the address that was asked.
        self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        self._rotation = Rotation()
        self._flows: dict[tuple[object, ...], _Flow] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def lead(self, backends: Sequence[Backend]) -> None:
        """Lead to these; clients of one that is gone are led anew."""
        self._rotation.backends = tuple(backends)
        for client, flow in list(self._flows.items()):
            if flow.backend not in self._rotation.backends:
                self._flows.pop(client).close()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        for flow in self._flows.values():
            flow.close()
        self._flows.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _receive(self) -> None:
        space = socket.CMSG_SPACE(20)
        for _ in range(64):
            try:
                data, ancillary, _, client = self._socket.recvmsg(_DATAGRAM, space)
            except OSError:
                return
            flow = self._flows.get(client) or self._new(client, ancillary)
            if flow is not None:
                flow.send(data)

    def _new(self, client: tuple[object, ...], ancillary: list[tuple[int, int, bytes]]) -> _Flow | None:
        backends = self._rotation.turn()
        if not backends:
            return None
        info = [row for row in ancillary if row[1] == socket.IPV6_PKTINFO]
        try:
            flow = _Flow(backends[0], lambda data: self._answer(data, info, client))
        except OSError:
            return None
        self._flows[client] = flow
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)
        return flow

    def _answer(self, data: bytes, info: list[tuple[int, int, bytes]], client: tuple[object, ...]) -> None:
        try:
            self._socket.sendmsg([data], info, 0, client)
        except OSError:
            return  # datagrams may be lost

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for client, flow in list(self._flows.items()):
            if now - flow.used > _IDLE:
                self._flows.pop(client).close()
        again = asyncio.get_running_loop().call_later(_SWEEP, self._sweep) if self._flows else None
        self._sweeper = again


class _Flow:
    """A UDP client's own socket towards its backend."""

    def __init__(self, backend: Backend, answer: Callable[[bytes], None]) -> None:
        self.backend = backend
        self.used = asyncio.get_running_loop().time()
        self._answer = answer
        self._socket = socket.socket(_family(backend[0]), socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(backend)
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket, self._receive)

    def send(self, data: bytes) -> None:
        self.used = asyncio.get_running_loop().time()
        try:
            self._socket.send(data)
        except OSError:
            return  # refused before, or full: datagrams may be lost

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _receive(self) -> None:
        for _ in range(64):
            try:
                data = self._socket.recv(_DATAGRAM)
            except OSError:
                return
            self.used = asyncio.get_running_loop().time()
            self._answer(data)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
