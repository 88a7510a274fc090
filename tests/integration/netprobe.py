"""Many connections at once between network namespaces: who answers where.

Servers and clients are sockets of this process, opened in the namespaces of machines and containers; so a table of a
hundred questions takes a second. A server says its name and the address that it sees the client at.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import cast

from stackfile.kernel.namespace import inside

_PATIENCE = 20.0
"""Seconds after which an answer that should come is missed."""
_SILENCE = 0.6
"""Seconds after which an answer that should not come is not waited for."""


@dataclass(frozen=True, slots=True)
class Service:
    """What listens: tcp or udp at an address and port of a place."""

    place: str
    protocol: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Question:
    """A connection from a place to an address; `answer` is the place that should answer, "" for nobody."""

    source: str
    protocol: str
    address: str
    port: int
    answer: str

    def __str__(self) -> str:
        return f"{self.source} → {self.address} {self.port}/{self.protocol}"


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, place: str) -> None:
        self._place = place

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(f"{self._place} {addr[0]}".encode(), addr)


@asynccontextmanager
async def serving(places: Mapping[str, int], services: Iterable[Service]) -> AsyncIterator[None]:
    """Servers for the block; `places` are descriptors of network namespaces."""
    async with AsyncExitStack() as stack:
        for service in services:
            listener = _listener(places[service.place], service)
            if service.protocol == "tcp":
                server = await asyncio.start_server(_stream(service.place), sock=listener)
                stack.callback(server.close)
            else:
                loop = asyncio.get_running_loop()
                name = service.place
                transport, _ = await loop.create_datagram_endpoint(lambda name=name: _Datagrams(name), sock=listener)  # type: ignore[misc]
                stack.callback(transport.close)
        yield


async def ask(places: Mapping[str, int], questions: Sequence[Question]) -> list[str]:
    """Ask all at once: a line for each answer that is not the one in the table."""
    answers = await asyncio.gather(*(_answer(places[question.source], question) for question in questions))
    return [
        f"{question}: {answer.split(' ')[0] or 'nobody'} instead of {question.answer or 'nobody'}"
        for question, answer in zip(questions, answers, strict=True)
        if answer.split(" ")[0] != question.answer
    ]


async def seen(places: Mapping[str, int], question: Question) -> str:
    """The address at which the one who answers sees the client."""
    return (await _answer(places[question.source], question)).partition(" ")[2].removeprefix("::ffff:")


def _stream(place: str):  # type: ignore[no-untyped-def]
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{place} {writer.get_extra_info('peername')[0]}".encode())
        writer.close()

    return greet


def _listener(netns: int, service: Service) -> socket.socket:
    family = socket.AF_INET6 if ":" in service.address else socket.AF_INET
    with inside(netns):
        if service.protocol == "tcp":
            dual = service.address == "::"
            return socket.create_server((service.address, service.port), family=family, dualstack_ipv6=dual)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((service.address, service.port))
        return sock


async def _answer(netns: int, question: Question) -> str:
    """What was said; an answer that should come is asked for again and again."""
    deadline = asyncio.get_running_loop().time() + (_PATIENCE if question.answer else 0)
    while True:
        said = await _once(netns, question)
        if said or asyncio.get_running_loop().time() >= deadline:
            return said
        await asyncio.sleep(0.1)


async def _once(netns: int, question: Question) -> str:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in question.address else socket.AF_INET
    kind = socket.SOCK_STREAM if question.protocol == "tcp" else socket.SOCK_DGRAM
    with inside(netns):
        client = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    with client:
        try:
            async with asyncio.timeout(_SILENCE):
                await loop.sock_connect(client, (question.address, question.port))
                if question.protocol == "udp":
                    await loop.sock_sendall(client, b"who")
                return (await loop.sock_recv(client, 100)).decode()
        except OSError:  # refused, unreachable, or no answer in time
            return ""
