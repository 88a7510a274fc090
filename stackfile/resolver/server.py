"""The resolver process: the daemon's commands, the containers' listeners.

Commands come over RUN/resolver.sock, one JSON object a message (or a sealed memfd that holds it), each answered:

request   {"do": "serve", "id": …} + 2 fds | {"do": "forget", "id": …} | {"do": "table", "table": {…}}
          | {"do": "update", "zones": {id: {…}|null}, "scopes": {id: {…}|null}} | {"do": "status"}
          | {"do": "relay", "ports": {key: [protocol, [[address, port], …]]|null}, "all"?: true}
          | {"do": "hand_back"}
answer    {"ok": …} or {"error": "…"}
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from typing import Any

from stackfile import log
from stackfile.errors import EngineError
from stackfile.kernel import memfd, seqpacket
from stackfile.resolver.answers import Answers
from stackfile.resolver.listener import Listener
from stackfile.resolver.relays import Relays
from stackfile.resolver.table import Table
from stackfile.resolver.upstream import Forwarder, Machine
from stackfile.supervisor.client import Supervisor

_LOG = log.get(__name__)
MESSAGE = 1 << 20
_HELD = "dns"


class Server:
    """State of the process: which containers are served, from which table; which ports are relayed where."""

    def __init__(self, supervisor: Supervisor) -> None:
        """`supervisor` holds the sockets of both."""
        self._supervisor = supervisor
        self._relays = Relays(supervisor.fetch)
        self._answers = Answers(Forwarder(), Machine())
        self._listeners: dict[str, Listener] = {}
        self._commands: dict[str, Callable[[dict[str, Any], list[int]], Any]] = {
            "serve": self._serve,
            "forget": self._forget,
            "table": self._replace,
            "update": self._update,
            "relay": self._relay,
            "status": self._status,
            "hand_back": lambda *_: self.hand_back(),
        }

    def recover(self) -> None:
        """Take over the sockets that the supervisor holds; they are read once the table has come."""
        try:
            for key in self._supervisor.keys(_HELD):
                fds = self._supervisor.fetch(key)
                if len(fds) == 2:
                    self._adopt(key.removeprefix(f"{_HELD}/"), fds)
        except EngineError as error:
            _LOG.warning("no sockets taken over: %s", error)

    def hand_back(self) -> None:
        """Have a supervisor, whose predecessor died, hold what is served here, where nobody else has done so."""
        ours = {f"{_HELD}/{key}": listener.descriptors for key, listener in self._listeners.items()}
        ours |= self._relays.kept()
        try:
            there = set(self._supervisor.keys())
            for key, descriptors in ours.items():
                if key not in there and descriptors:
                    self._supervisor.hold(key, descriptors)
            self._supervisor.keys(_HELD)  # answered when all of it is held
        except EngineError as error:
            _LOG.warning("sockets are not handed back: %s", error)

    def listen(self, path: str) -> None:
        """Accept the daemon's connections at `path`."""
        listener = seqpacket.listen(path)
        listener.setblocking(False)
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        self._relays.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        seqpacket.widen(connection, MESSAGE)
        asyncio.get_running_loop().add_reader(connection, self._receive, connection)

    def _receive(self, connection: socket.socket) -> None:
        try:
            data, fds = seqpacket.receive(connection, MESSAGE)
        except BlockingIOError:
            return
        except OSError as error:
            _LOG.warning("connection of the daemon: %s", error)
            data, fds = b"", []
        if not data:
            asyncio.get_running_loop().remove_reader(connection)
            connection.close()
            return
        answer = self._answer(data, fds)
        try:
            seqpacket.send(connection, json.dumps(answer).encode())
        except OSError as error:
            _LOG.warning("answer to the daemon: %s", error)

    def _answer(self, data: bytes, fds: list[int]) -> dict[str, Any]:
        """Carry out one command. Descriptors that it does not take are closed."""
        taken: list[int] = []
        try:
            request = json.loads(data)
            if request.get("memfd"):
                request = json.loads(memfd.content(fds[0]))
            result = self._commands[request["do"]](request, fds)
            taken = fds if request["do"] == "serve" else []
            return {"ok": result}
        except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
            _LOG.exception("bad command")
            return {"error": f"{type(error).__name__}: {error}"}
        finally:
            for fd in fds:
                if fd not in taken:
                    os.close(fd)

    def _serve(self, request: dict[str, Any], fds: list[int]) -> None:
        if len(fds) != 2:
            raise ValueError("serve needs two descriptors")
        self._adopt(request["id"], fds)

    def _forget(self, request: dict[str, Any], fds: list[int]) -> None:
        listener = self._listeners.pop(request["id"], None)
        if listener is not None:
            listener.close()

    def _replace(self, request: dict[str, Any], fds: list[int]) -> None:
        """The whole table: containers that it does not know are no longer served."""
        self._answers.replace(Table.from_plain(request["table"]))
        for identity in list(self._listeners):
            if not self._answers.known(identity):
                self._listeners.pop(identity).close()
        self._begin()

    def _update(self, request: dict[str, Any], fds: list[int]) -> None:
        self._answers.replace(self._answers.table.changed(request.get("zones", {}), request.get("scopes", {})))
        self._begin()

    def _relay(self, request: dict[str, Any], fds: list[int]) -> None:
        if request.get("all"):
            self._relays.replace(request["ports"])
        else:
            self._relays.update(request["ports"])

    def _status(self, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        table = self._answers.table
        return {"served": sorted(self._listeners), "zones": len(table.zones), "scopes": len(table.scopes)}

    def _adopt(self, identity: str, fds: list[int]) -> None:
        old = self._listeners.pop(identity, None)
        if old is not None:
            old.close()
        udp, tcp = (socket.socket(fileno=fd) for fd in fds)
        self._listeners[identity] = Listener(identity, udp, tcp, self._answers)
        self._begin()

    def _begin(self) -> None:
        for identity, listener in self._listeners.items():
            if self._answers.known(identity):
                listener.begin()
