"""From a query to its answer: by the cache, by hand, by dnslib, or from another server."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator

from dnslib import PTR, QTYPE, RR, DNSError, DNSRecord

from stackfile.resolver import names, packet
from stackfile.resolver.packet import Question
from stackfile.resolver.table import Scope, Table
from stackfile.resolver.upstream import Forwarder, Machine

_CACHE_SIZE = 4096
_FAMILIES = {packet.A: socket.AF_INET, packet.AAAA: socket.AF_INET6, packet.ANY: socket.AF_INET}


class View:
    """What one container is answered from the table. Valid until the table changes."""

    def __init__(self, table: Table, scope: Scope) -> None:
        self._table = table
        self.scope = scope
        self._cache: dict[bytes, Iterator[bytes]] = {}

    def answer(self, query: bytes) -> bytes | None:
        """The answer to a datagram; None when it has to be looked for elsewhere (`forward`)."""
        cached = self._cache.get(query[2:])
        if cached is not None:
            return query[:2] + next(cached)
        question = packet.parse(query)
        if question is None:
            return packet.failure(query, packet.NOTIMP if query[2] & 0x78 else packet.FORMERR)
        if question.kind_class != packet.IN:
            return packet.failure(query, packet.REFUSED)
        if question.kind == packet.PTR:
            return self._pointer(query, question)
        found = names.addresses(self._table, self.scope, question.name)
        if found is None:
            return None
        return query[:2] + next(self._remember(query, question, found))

    def answer_in_full(self, query: bytes) -> bytes | None:
        """As `answer`, with all addresses however many (for TCP)."""
        question = packet.parse(query)
        found = names.addresses(self._table, self.scope, question.name) if question else None
        if question is None or found is None or question.kind not in _FAMILIES:
            return self.answer(query)
        values = names.packed(found, _FAMILIES[question.kind])
        return query[:2] + packet.answer(query, question, values, _code(found))

    def _remember(self, query: bytes, question: Question, found: tuple[str, ...]) -> Iterator[bytes]:
        """The answers in rotation: each address comes first in turn."""
        family = _FAMILIES.get(question.kind)
        values = names.packed(found, family) if family else []
        rotated = [values[start:] + values[:start] for start in range(len(values))] or [[]]
        room = packet.room(question)
        answers = itertools.cycle([packet.answer(query, question, row[:room], _code(found)) for row in rotated])
        if len(self._cache) < _CACHE_SIZE:
            self._cache[query[2:]] = answers
        return answers

    def _pointer(self, query: bytes, question: Question) -> bytes | None:
        name = names.pointer(self._table, self.scope, question.name)
        if not name:
            return None
        try:
            reply = DNSRecord.parse(query).reply()
            reply.add_answer(RR(reply.q.qname, QTYPE.PTR, rdata=PTR(name), ttl=packet.TTL))
            return bytes(reply.pack())
        except DNSError:
            return packet.failure(query, packet.FORMERR)


def _code(found: tuple[str, ...]) -> int:
    """A name that has addresses of whatever family exists."""
    return packet.NOERROR if found else packet.NXDOMAIN


class Answers:
    """The views of all containers over the present table."""

    def __init__(self, forwarder: Forwarder, machine: Machine) -> None:
        self._forwarder = forwarder
        self._machine = machine
        self._table = Table()
        self._views: dict[str, View] = {}

    def replace(self, table: Table) -> None:
        """Answer from this table from now on."""
        self._table = table
        self._views.clear()

    def known(self, identity: str) -> bool:
        """The table says what this container sees."""
        return identity in self._table.scopes

    @property
    def table(self) -> Table:
        return self._table

    def view(self, identity: str) -> View | None:
        """The view of a container, None for one that the table does not know."""
        view = self._views.get(identity)
        if view is None and identity in self._table.scopes:
            view = self._views[identity] = View(self._table, self._table.scopes[identity])
        return view

    async def forward(self, view: View, query: bytes, *, stream: bool = False) -> bytes:
        """Ask the container's own servers, or else the machine's."""
        question = packet.parse(query)
        assert question is not None, "only what parsed has to be looked for elsewhere"
        servers = view.scope.servers or self._machine.servers()
        return await self._forwarder.ask(query, question, servers, stream=stream)
