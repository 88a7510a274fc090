"""The connection after an upgrade, over a real socket and the real HTTP server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from aiohttp import web

from stackfile.daemon.hijack import take_over
from stackfile.daemon.relay import relay
from stackfile.provider.engine import LogChunk


class Echo:
    """A process that answers each input in capitals, and ends with its input."""

    tty = False

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[LogChunk | None] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.written = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def output(self) -> AsyncIterator[LogChunk]:
        while (chunk := await self.chunks.get()) is not None:
            yield chunk

    async def write(self, data: bytes) -> None:
        await self.gate.wait()
        self.written += len(data)
        self.chunks.put_nowait(LogChunk(1, 0, data.upper()))

    async def close_stdin(self) -> None:
        self.chunks.put_nowait(LogChunk(2, 0, b"bye"))
        self.chunks.put_nowait(None)

    async def close(self) -> None:
        self.closed.set()


Scenario = Callable[[Echo, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def serve(tmp_path: Path, scenario: Scenario, *, stdin: bool = True, tty: bool = False) -> None:
    """Run `scenario` against a server that relays one connection to an Echo."""

    async def run() -> None:
        echo = Echo()
        echo.tty = tty

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await take_over(
                    request, lambda session: relay(session, echo, stdin=stdin, detach_keys=b"\x10\x11")
                )
            finally:
                await echo.close()

        server = web.Server(handle, handler_cancellation=True)
        runner = web.ServerRunner(server)
        await runner.setup()
        path = str(tmp_path / "http.sock")
        await web.UnixSite(runner, path).start()
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            async with asyncio.timeout(10):
                await scenario(echo, reader, writer)
        finally:
            writer.close()
            await runner.cleanup()
        assert server.connections == []

    asyncio.run(run())


REQUEST = b"POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}"


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(REQUEST)
    return await reader.readuntil(b"\r\n\r\n")


def test_both_directions_and_half_close(tmp_path: Path) -> None:
    async def scenario(echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await upgraded(reader, writer)
        assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert b"Upgrade: tcp" in head
        writer.write(b"hello")
        assert await reader.readexactly(13) == b"\x01\0\0\0\0\0\0\x05HELLO"
        writer.write_eof()
        assert await reader.read() == b"\x02\0\0\0\0\0\0\x03bye"
        await echo.closed.wait()

    serve(tmp_path, scenario)


def test_without_stdin_a_client_that_half_closes_reads_on(tmp_path: Path) -> None:
    async def scenario(echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write_eof()
        await asyncio.sleep(0.05)
        echo.chunks.put_nowait(LogChunk(1, 0, b"late"))
        echo.chunks.put_nowait(None)
        assert (await reader.read())[8:] == b"late"

    serve(tmp_path, scenario, stdin=False)


def test_a_tty_is_raw_and_detach_keys_end_it(tmp_path: Path) -> None:
    async def scenario(echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"A"
        writer.write(b"\x10\x11")
        assert await reader.read() == b""
        assert echo.written == 1

    serve(tmp_path, scenario, tty=True)


def test_a_client_that_vanishes_after_its_half_close_is_noticed(tmp_path: Path) -> None:
    async def scenario(echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write_eof()
        await asyncio.sleep(0.05)
        assert not echo.closed.is_set()
        writer.transport.abort()
        async with asyncio.timeout(3):
            await echo.closed.wait()

    serve(tmp_path, scenario, stdin=False)


def test_a_client_that_vanishes_is_noticed_at_once(tmp_path: Path) -> None:
    async def scenario(echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.transport.abort()
        async with asyncio.timeout(1):
            await echo.closed.wait()

    serve(tmp_path, scenario)


def test_a_process_that_does_not_read_stops_the_client(tmp_path: Path) -> None:
    async def scenario(echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        echo.gate.clear()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        writer.write(b"x" * 4_000_000)
        await asyncio.sleep(0.2)
        # Not everything fits in the buffers on the way: the rest waits here.
        assert writer.transport.get_write_buffer_size() > 2_000_000
        echo.gate.set()
        await writer.drain()
        writer.write_eof()
        received = 0
        while data := await reader.read(65536):
            received += len(data)
        assert echo.written == 4_000_000
        assert received > 4_000_000

    serve(tmp_path, scenario)


def test_a_reader_that_is_slow_stops_the_process(tmp_path: Path) -> None:
    async def scenario(echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        for _ in range(200):
            echo.chunks.put_nowait(LogChunk(1, 0, b"y" * 65536))
        echo.chunks.put_nowait(None)
        await asyncio.sleep(0.2)
        assert echo.chunks.qsize() > 100
        received = 0
        while data := await reader.read(1 << 20):
            received += len(data)
        assert received == 200 * (65536 + 8)

    serve(tmp_path, scenario, stdin=False)


def test_what_goes_wrong_ends_the_connection_without_an_http_answer(tmp_path: Path) -> None:
    async def scenario(echo: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        echo.chunks.put_nowait("no chunk")  # type: ignore[arg-type]
        assert await reader.read() == b""

    serve(tmp_path, scenario)
