"""Taking over a connection: attach and exec answer 101 (or 200) and then speak bytes in both directions.

aiohttp knows websockets alone, so the transport gets another protocol under it. What Docker's clients need: a half-
closed connection stays open for output (the CLI closes its side at once without `-i`), reading stops while stdin is
slow, writing waits while the client is slow, and a client that vanishes after it half-closed is noticed.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from stackfile import log
from stackfile.daemon import responses

_logger = log.get(__name__)
_READ_LIMIT = 256 * 1024
_LOSES_BYTES = "docker-sdk-python"
_HEAD_START = 0.02
"""Seconds between the head and the first byte for a client that drops what arrives together with the head (docker-py
reads the head through a buffer and then goes on with the bare socket).
"""
_VANISHED_EVERY = 1.0
"""Seconds between looks at a connection whose other side sends nothing more: no event tells that it has gone."""


class Session(asyncio.Protocol):
    """The connection after the upgrade."""

    def __init__(self, before: asyncio.BaseProtocol) -> None:
        self._before = before
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._eof = False
        self._lost = False
        self._reading_paused = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._look: asyncio.TimerHandle | None = None

    # ---- for routes

    async def read(self) -> bytes:
        """What the client sent; empty at its end of file."""
        while not self._received and not self._eof:
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._received)
        self._received.clear()
        if self._reading_paused and self._transport is not None and not self._lost:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    async def lost(self) -> None:
        """Until the client has gone."""
        await self._gone.wait()

    async def write(self, data: bytes) -> None:
        """Raises ConnectionResetError when the client has gone."""
        if self._lost or self._transport is None:
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()
            if self._lost:
                raise ConnectionResetError("the client has gone")

    # ---- for the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._readable.set()
        if len(self._received) >= _READ_LIMIT and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        self._readable.set()
        self._schedule_look()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._eof = True
        self._readable.set()
        self._writable.set()
        self._gone.set()
        if self._look is not None:
            self._look.cancel()
        # The server's own protocol forgets the connection and cancels the handler.
        self._before.connection_lost(exc)

    def _schedule_look(self) -> None:
        self._look = asyncio.get_running_loop().call_later(_VANISHED_EVERY, self._look_for_client)

    def _look_for_client(self) -> None:
        if self._lost or self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return
        poller = select.poll()
        poller.register(sock.fileno(), 0)
        if poller.poll(0):
            self._transport.abort()
        else:
            self._schedule_look()


class Taken(web.StreamResponse):
    """Stands for the response of a connection that was taken over: everything was sent already."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


async def take_over(
    request: web.BaseRequest, speak: Callable[[Session], Awaitable[None]], headers: Mapping[str, str] | None = None
) -> Taken:
    """Answer 101 UPGRADED (200 where no upgrade was asked for), then let `speak` use the connection until it returns.

    `headers` go along with the answer's own. What goes wrong in `speak` ends the connection: there is no place for an
    error any more, but the log.
    """
    await request.read()
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    session = Session(request.protocol)
    session.connection_made(transport)
    transport.set_protocol(session)
    transport.resume_reading()
    transport.write(_head(request, headers or {}))
    if request.headers.get("User-Agent", "").startswith(_LOSES_BYTES):
        await asyncio.sleep(_HEAD_START)
    try:
        await speak(session)
    except ConnectionError:
        # The client has gone.
        pass
    except Exception:
        _logger.exception("%s %s", request.method, request.rel_url)
    return Taken()


def _head(request: web.BaseRequest, headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in {**responses.HEADERS, **headers}.items()]
    lines.append(f"Content-Type: {responses.RAW}")
    if "upgrade" in request.headers:
        lines = ["HTTP/1.1 101 UPGRADED", "Connection: Upgrade", "Upgrade: tcp", *lines]
    else:
        lines = ["HTTP/1.1 200 OK", "Connection: close", *lines]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def first_of(first: Awaitable[None], second: Awaitable[None]) -> None:
    """Until one of the two ends; the other is cancelled. Raises what the one that ended raised."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
