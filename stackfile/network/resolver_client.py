"""The daemon's line to the resolver process."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from stackfile import log
from stackfile.errors import ActionError, EngineError
from stackfile.kernel import memfd, seqpacket
from stackfile.resolver.table import Scope, Table, Zone

_LOG = log.get(__name__)
_MESSAGE = 1 << 20
_LARGE = 128 << 10
"""Requests above this many bytes travel in a memfd."""
_PATIENCE = 5.0
_ANSWER = 30.0
"""Seconds in which the resolver has to do what it is asked for."""


class ResolverClient:
    """Feeds the resolver: sockets to serve and the table of names.

    A daemon that has just started connects, and gives the whole table (`table`) before it changes anything. Keeps the
    table, and sends it again when the resolver has been respawned (which has its sockets from the
    supervisor then). A call returns when the resolver has done it; while the resolver is away calls wait for it, at
    most 5 s (EngineError `engine-unreachable`). One that does not answer is waited for 30 s (ActionError `timeout`).
    """

    def __init__(self, path: str) -> None:
        """`path`: the resolver's socket (RunPaths.resolver)."""
        self._path = path
        self._table: Table | None = None
        self._relays: dict[str, Any] = {}
        self._relaying: asyncio.Future[Any] | None = None
        self._settled = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._socket: socket.socket | None = None
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._connected = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def connect(self) -> None:
        """Wait for the socket (at most 5 s; EngineError `engine-unreachable`), then keep the connection alive."""
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        await self._ready()

    async def close(self) -> None:
        """End the connection; the resolver goes on answering."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        self._disconnect()

    async def serve(self, identity: str, udp_fd: int, tcp_fd: int) -> None:
        """Answer the queries of this container. The descriptors stay the caller's (close them after this call).

        Nothing is read until the table has the container's scope (`update`). Hold the sockets in the supervisor
        (`dns/<id>`) first: from there a respawned resolver has them.
        """
        await self._call({"do": "serve", "id": identity}, (udp_fd, tcp_fd))

    async def forget(self, identity: str) -> None:
        """Stop answering a container and close its sockets in the resolver (they keep its namespace alive)."""
        await self._call({"do": "forget", "id": identity})

    async def table(self, entries: Table) -> None:
        """Replace the whole table. Containers that it does not know are no longer served."""
        self._table = entries
        await self._call({"do": "table", "table": entries.to_plain()})

    async def update(
        self, zones: Mapping[str, Zone | None] | None = None, scopes: Mapping[str, Scope | None] | None = None
    ) -> None:
        """Replace some zones and scopes; None removes one."""
        some_zones, some_scopes = zones or {}, scopes or {}
        plain = Table(
            zones={key: zone for key, zone in some_zones.items() if zone is not None},
            scopes={key: scope for key, scope in some_scopes.items() if scope is not None},
        ).to_plain()
        change = {
            "zones": {key: plain["zones"].get(key) for key in some_zones},
            "scopes": {key: plain["scopes"].get(key) for key in some_scopes},
        }
        self._table = (self._table or Table()).changed(change["zones"], change["scopes"])
        await self._call({"do": "update", **change})

    def relay(self, ports: Mapping[str, tuple[str, Sequence[tuple[str, int]]] | None]) -> None:
        """Have the resolver lead connections at reserved ports on: key in the supervisor → (protocol, backends).

        None ends it and lets the socket go. Sent at once where that is possible and not waited for; sent again to a
        resolver that was respawned.
        """
        change = {key: None if value is None else [value[0], list(value[1])] for key, value in ports.items()}
        for key, value in change.items():
            if value is None and self._relays.pop(key, None) is None:
                continue
            if value is not None:
                self._relays[key] = value
        self._send_relays({"do": "relay", "ports": change})

    async def relayed(self) -> None:
        """Wait until the last change of relays is made. A resolver that goes away meanwhile gets all of them again."""
        tasks = [*self._tasks, *([self._relaying] if self._relaying is not None else [])]
        if tasks:
            await asyncio.wait(tasks, timeout=_PATIENCE)

    def settle_relays(self) -> None:
        """All ports are known now: the resolver ends what it relays beside them (for a daemon before this one)."""
        self._settled = True
        self._send_relays({"do": "relay", "ports": self._relays, "all": True})

    def _send_relays(self, request: dict[str, Any]) -> None:
        if self._socket is None:
            return  # whoever comes gets all of them
        data = json.dumps(request).encode()
        if self._sending.locked() or len(data) > _LARGE:
            self._later(request)
            return
        try:
            seqpacket.send(self._socket, data)
        except BlockingIOError:
            self._later(request)
        except OSError:
            return
        else:
            self._relaying = asyncio.get_running_loop().create_future()
            self._relaying.add_done_callback(_heard)
            self._waiting.append(self._relaying)

    def _later(self, request: dict[str, Any]) -> None:
        task = asyncio.get_running_loop().create_task(self._call(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def hand_back(self) -> None:
        """Have a new supervisor hold what the resolver serves; one that had it from the daemon keeps that."""
        await self._call({"do": "hand_back"})

    async def status(self) -> dict[str, Any]:
        """What the resolver serves: {"served": [ids], "zones": n, "scopes": n}."""
        result: dict[str, Any] = await self._call({"do": "status"})
        return result

    async def _call(self, request: dict[str, Any], fds: Sequence[int] = ()) -> Any:
        while True:
            await self._ready()
            try:
                return await self._exchange(request, fds)
            except ConnectionError:
                # The resolver went away: the next one gets the request, once the loop has seen that end.
                await asyncio.sleep(0)

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._connected.wait()
        except TimeoutError as error:
            raise EngineError("engine-unreachable", f"the resolver at {self._path} does not answer") from error

    async def _exchange(self, request: dict[str, Any], fds: Sequence[int]) -> Any:
        """Send one request and wait for its answer; answers come in the order of the requests."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        try:
            async with asyncio.timeout(_ANSWER):
                async with self._sending:
                    if self._socket is None:
                        raise ConnectionResetError
                    await self._send(self._socket, request, fds)
                    self._waiting.append(answer)
                result = await answer
        except TimeoutError as error:
            raise ActionError("timeout", f"resolver: {request['do']} took longer than {_ANSWER:g} s") from error
        if "error" in result:
            raise ActionError("internal", f"resolver: {request['do']}", cause=result["error"])
        return result["ok"]

    async def _send(self, sock: socket.socket, request: dict[str, Any], fds: Sequence[int]) -> None:
        data = json.dumps(request).encode()
        if len(data) <= _LARGE:
            await _send_when_writable(sock, data, fds)
            return
        fd = memfd.sealed("resolver-request", data)
        try:
            await _send_when_writable(sock, b'{"memfd": true}', [fd])
        finally:
            os.close(fd)

    async def _keep(self) -> None:
        """Connect, again whenever the connection ends; the table is the first thing that a resolver gets."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock = seqpacket.connect(self._path, _MESSAGE)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            sock.setblocking(False)
            ended = asyncio.Event()
            self._socket = sock
            loop.add_reader(sock, self._receive, sock, ended)
            try:
                if self._table is not None:
                    await self._exchange({"do": "table", "table": self._table.to_plain()}, ())
                if self._settled:
                    await self._exchange({"do": "relay", "ports": self._relays, "all": True}, ())
                self._connected.set()
                await ended.wait()
            except ConnectionError:
                await asyncio.sleep(0.02)
            except ActionError as error:
                _LOG.error("the resolver refuses the table: %s", error)
                await asyncio.sleep(1)
            finally:
                self._disconnect()

    def _receive(self, sock: socket.socket, ended: asyncio.Event) -> None:
        try:
            data, _ = seqpacket.receive(sock, _MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_result(json.loads(data))
            return
        self._disconnect()
        ended.set()

    def _disconnect(self) -> None:
        self._connected.clear()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(ConnectionResetError("the resolver went away"))


def _heard(answer: asyncio.Future[Any]) -> None:
    """Nobody need wait for this answer: an end of the connection is mended, a refusal is logged."""
    if answer.cancelled() or answer.exception() is not None:
        return
    if "error" in answer.result():
        _LOG.warning("resolver: relay: %s", answer.result()["error"])


async def _send_when_writable(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            seqpacket.send(sock, data, fds)
            return
        except BlockingIOError:
            writable: asyncio.Future[None] = loop.create_future()
            loop.add_writer(sock, writable.set_result, None)
            try:
                await writable
            finally:
                loop.remove_writer(sock)
