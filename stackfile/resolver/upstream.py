"""Asking other servers, from the machine's own namespace."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence

from stackfile.resolver import packet
from stackfile.resolver.packet import Question

RESOLV_CONF = "/etc/resolv.conf"

_PORT = 53
_PATIENCE = 1.0
"""Seconds for one server; a client itself waits 5 s before it asks again."""
_MOST = 3
"""Servers that are asked for one query, as in resolv.conf(5)."""
_REST = 10.0
"""Seconds for which a server that did not answer is asked once only, and briefly."""
_BRIEF = 0.25
_MAX_OUTSTANDING = 500
_SIZE = 65535


class Machine:
    """The servers of the machine's resolv.conf, read again when it changes."""

    def __init__(self, path: str = RESOLV_CONF) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._servers: tuple[str, ...] = ()

    def servers(self) -> tuple[str, ...]:
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                with open(self._path) as file:
                    self._servers = parse_resolv_conf(file.read())
                self._stamp = stamp
        except OSError:
            self._servers, self._stamp = (), None
        return self._servers


def parse_resolv_conf(text: str) -> tuple[str, ...]:
    """Addresses of the `nameserver` lines (resolv.conf(5))."""
    rows = [line.split() for line in text.splitlines()]
    return tuple(row[1] for row in rows if len(row) >= 2 and row[0] == "nameserver")


class Forwarder:
    """Forwards queries. Each has a socket and an id of its own, so that answers are hard to forge."""

    def __init__(self, port: int = _PORT) -> None:
        self._port = port
        self._resting: dict[str, float] = {}
        self._count = 0

    async def ask(self, query: bytes, question: Question, servers: Sequence[str], *, stream: bool = False) -> bytes:
        """The answer of the first server that gives one, with the id of `query`.

        Where none does (known after at most 3 s, and while they rest 0.75): NXDOMAIN for a single label, which the
        outside hardly knows, else SERVFAIL.
        """
        if self._count < _MAX_OUTSTANDING:
            self._count += 1
            try:
                refusal = b""
                for patience, server in self._plan(servers):
                    answer = await self._try(query, question, server, patience, stream=stream)
                    if answer and answer[3] & 0xF not in (packet.SERVFAIL, packet.REFUSED):
                        return query[:2] + answer[2:]
                    refusal = answer or refusal
                if refusal:
                    return query[:2] + refusal[2:]
            finally:
                self._count -= 1
        code = packet.SERVFAIL if "." in question.name else packet.NXDOMAIN
        return query[:2] + packet.answer(query, question, (), code)

    def _plan(self, servers: Sequence[str]) -> list[tuple[float, str]]:
        """(patience, server) in the order of asking: those that answered lately, a single one twice; others briefly."""
        now = time.monotonic()
        fresh = [server for server in servers if self._resting.get(server, 0) <= now]
        tired = [server for server in servers if server not in fresh]
        if len(fresh) == 1:
            fresh *= 2  # a datagram may get lost
        return [(_PATIENCE, server) for server in fresh[:_MOST]] + [(_BRIEF, server) for server in tired[:_MOST]]

    async def _try(self, query: bytes, question: Question, server: str, patience: float, *, stream: bool) -> bytes:
        identity = os.urandom(2) + query[2:]
        ask = self._over_tcp if stream else self._over_udp
        try:
            async with asyncio.timeout(patience):
                answer = await ask(identity, question, server)
        except TimeoutError:
            self._resting[server] = time.monotonic() + _REST
            return b""
        except (OSError, ValueError, asyncio.IncompleteReadError):
            return b""  # refused or unreachable: known at once
        self._resting.pop(server, None)
        return answer

    async def _over_udp(self, query: bytes, question: Question, server: str) -> bytes:
        loop = asyncio.get_running_loop()
        with _connected(server, self._port) as sock:
            sock.send(query)
            while True:
                answer = await loop.sock_recv(sock, _SIZE)
                if packet.answers_to(answer, query, question):
                    return answer

    async def _over_tcp(self, query: bytes, question: Question, server: str) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(len(query).to_bytes(2, "big") + query)
            await writer.drain()
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        finally:
            writer.close()
        if not packet.answers_to(answer, query, question):
            raise ValueError("an answer to something else")
        return answer


def _connected(server: str, port: int) -> socket.socket:
    """A UDP socket that hears this server only, and its ICMP errors. Raises OSError (ValueError: no address)."""
    host, _, scope = server.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        index = socket.if_nametoindex(scope) if scope else 0
        sock.connect((host, port, 0, index) if family == socket.AF_INET6 else (host, port))
    except BaseException:
        sock.close()
        raise
    return sock
