"""The relay, on sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from stackfile.resolver.relay import TcpRelay, UdpRelay

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]]


def bound(kind: int) -> socket.socket:
    """A socket as a reservation has it: the port was named, so the socket keeps it when it stops listening."""
    with socket.socket(socket.AF_INET6, kind) as probe:
        probe.bind(("::1", 0))
        address = probe.getsockname()
    sock = socket.socket(socket.AF_INET6, kind)
    sock.bind(address)
    return sock


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Give back what comes, and the end when it ends."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def server(serve: Serve = echo) -> AsyncIterator[tuple[str, int]]:
    made = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with made:
        yield made.sockets[0].getsockname()[:2]


@pytest.fixture(autouse=True)
def _needs_ipv6() -> None:
    if not os.path.exists("/proc/sys/net/ipv6"):
        pytest.skip("no IPv6 here")


def test_bytes_go_there_and_back_whole() -> None:
    async def body() -> None:
        listener = bound(socket.SOCK_STREAM)
        port = listener.getsockname()[1]
        relay = TcpRelay(listener)
        data = os.urandom(3 << 20)
        async with server() as backend:
            relay.lead([backend])
            reader, writer = await asyncio.open_connection("::1", port)

            async def send() -> None:
                writer.write(data)
                await writer.drain()
                writer.write_eof()

            sending = asyncio.create_task(send())
            assert await reader.read() == data
            await sending
            writer.close()
            await writer.wait_closed()
        relay.close()

    asyncio.run(asyncio.wait_for(body(), 20))


def test_port_refuses_while_there_is_nothing_behind_it() -> None:
    async def body() -> None:
        listener = bound(socket.SOCK_STREAM)
        port = listener.getsockname()[1]
        held = listener.dup()
        relay = TcpRelay(listener)
        async with server() as backend:
            for backends in ([], [backend], [], [backend], []):
                relay.lead(backends)
                if backends:
                    reader, writer = await asyncio.open_connection("::1", port)
                    writer.write(b"x")
                    assert await reader.read(1) == b"x"
                    writer.close()
                    await writer.wait_closed()
                else:
                    with pytest.raises(ConnectionRefusedError):
                        await asyncio.open_connection("::1", port)
            with pytest.raises(OSError, match="in use"):  # still reserved
                socket.create_server(("::1", port), family=socket.AF_INET6)
        relay.close()
        held.close()

    asyncio.run(asyncio.wait_for(body(), 20))


def test_dead_backend_is_passed_over() -> None:
    async def body() -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            dead = closed.getsockname()
        listener = bound(socket.SOCK_STREAM)
        port = listener.getsockname()[1]
        relay = TcpRelay(listener)
        async with server() as backend:
            relay.lead([dead, backend])
            for _ in range(4):
                reader, writer = await asyncio.open_connection("::1", port)
                writer.write(b"x")
                assert await reader.read(1) == b"x"
                writer.close()
                await writer.wait_closed()
        relay.close()

    asyncio.run(asyncio.wait_for(body(), 20))


def test_port_can_be_reserved_while_a_connection_lasts() -> None:
    async def body() -> None:
        listener = bound(socket.SOCK_STREAM)
        port = listener.getsockname()[1]
        relay = TcpRelay(listener)
        async with server() as backend:
            relay.lead([backend])
            reader, writer = await asyncio.open_connection("::1", port)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            relay.close()
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as again:
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind(("::1", port))
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    asyncio.run(asyncio.wait_for(body(), 20))


def test_datagrams_find_their_clients() -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        sock = bound(socket.SOCK_DGRAM)
        address = sock.getsockname()
        relay = UdpRelay(sock)
        backend = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        backend.bind(("127.0.0.1", 0))
        clients = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
        for each in (backend, *clients):
            each.setblocking(False)
        relay.lead([backend.getsockname()])
        peers = set()
        for number, client in enumerate(clients):
            client.connect(address)
            await loop.sock_sendall(client, b"%d" % number)
            data, peer = await loop.sock_recvfrom(backend, 100)
            peers.add(peer)
            await loop.sock_sendto(backend, b"to " + data, peer)
        assert [await loop.sock_recv(client, 100) for client in clients] == [b"to 0", b"to 1"]
        assert len(peers) == 2
        relay.lead([])
        relay.close()
        for each in (backend, *clients):
            each.close()

    asyncio.run(asyncio.wait_for(body(), 20))
