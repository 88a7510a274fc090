"""nf_tables over raw nfnetlink: messages, dumps and transactions (linux/netfilter/nf_tables.h, nft(8)).

A transaction is a list of messages that the kernel takes whole or not at all. Rules are lists of expressions, which
`nftexpr` encodes.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from stackfile.errors import KernelError
from stackfile.kernel.netlink import (
    APPEND,
    CREATE,
    DUMP,
    NETFILTER,
    Message,
    NetlinkSocket,
    Subscription,
    attribute,
    attributes,
    be32,
    items,
    nest,
    string,
    text,
)

ACCEPT, DROP = 1, 0

_SUBSYSTEM = 10 << 8
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWTABLE, _GETTABLE, _DELTABLE = 0, 1, 2
_NEWCHAIN, _GETCHAIN, _DELCHAIN = 3, 4, 5
_NEWRULE, _GETRULE, _DELRULE = 6, 7, 8
_NEWSET, _GETSET, _DELSET = 9, 10, 11
_NEWSETELEM, _GETSETELEM, _DELSETELEM = 12, 13, 14
_NEWGEN = 15

_STRUCTURE = frozenset({_NEWTABLE, _DELTABLE, _NEWCHAIN, _DELCHAIN, _NEWRULE, _DELRULE})
_GROUP = 7
"""NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h)."""

_SET_INTERVAL, _SET_MAP = 0x4, 0x8
_INTERVAL_END = 1
_OWNER = 2
_VERDICT_TYPE = 0xFFFFFF00
_HOST_ORDER = struct.pack("=BBI", 0, 4, 1)
"""Set userdata by which nft(8) lists keys of host byte order rightly."""


class Family(IntEnum):
    """Protocol family of a table (NFPROTO_*)."""

    INET = 1
    IPV4 = 2
    IPV6 = 10


class Hook(IntEnum):
    """Where a base chain is called (NF_INET_*)."""

    PREROUTING = 0
    INPUT = 1
    FORWARD = 2
    OUTPUT = 3
    POSTROUTING = 4


@dataclass(frozen=True, slots=True)
class Type:
    """A type of keys and values: nft's number for it, and its length in bytes."""

    number: int
    length: int
    host_order: bool = False


IPV4 = Type(7, 4)
IPV6 = Type(8, 16)
PROTOCOL = Type(12, 1)
PORT = Type(13, 2)
INTERFACE = Type(41, 16, host_order=True)
INTEGER = Type(4, 4, host_order=True)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain as dumped. `hook` is -1 for a chain that is only jumped to; `policy` ACCEPT or DROP."""

    family: int
    table: str
    name: str
    type: str = ""
    hook: int = -1
    priority: int = 0
    policy: int = ACCEPT


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as dumped. `expressions` are (name, encoded data)."""

    family: int
    table: str
    chain: str
    handle: int
    comment: str
    expressions: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a set or map. `value` is the mapped data, `chain` the target of a verdict map."""

    key: bytes
    value: bytes = b""
    chain: str = ""
    verdict: int = 0
    end: bool = False


class Nftables:
    """A connection to nf_tables in the namespace of the thread that makes it. Not thread-safe."""

    def __init__(self) -> None:
        self._socket = NetlinkSocket(NETFILTER)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Nftables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commit(self, messages: Sequence[Message]) -> None:
        """Carry out all messages or none. KernelError of the first that the kernel refused, naming it.

        Retried when another process changed the rules at the same moment.
        """
        if not messages:
            return
        head = struct.pack(">BBH", 0, 0, 10)
        begin, end = Message(_BATCH_BEGIN, 0, head, "batch"), Message(_BATCH_END, 0, head, "batch")
        for attempt in range(5):
            try:
                self._socket.batch(messages, begin, end)
                break
            except KernelError as error:
                if error.errno not in (errno.EINTR, errno.EAGAIN) or attempt == 4:
                    raise

    def table_comment(self, family: Family, table: str) -> str | None:
        """Comment of a table, None where there is no such table."""
        for _, body in self._socket.query(_message(_GETTABLE, 0, family, text(1, table), f"table {table}")):
            return _comment(attributes(body, 4).get(6, b""))
        return None

    def tables(self, family: Family) -> dict[str, str]:
        """All tables of the family with their comments."""
        rows = [attributes(body, 4) for _, body in self._dump(_GETTABLE, family)]
        return {string(row[1]): _comment(row.get(6, b"")) for row in rows}

    def owned(self, family: Family, table: str) -> bool:
        """Whether the table belongs to one process alone (NFT_TABLE_F_OWNER): others may not change it."""
        for _, body in self._socket.query(_message(_GETTABLE, 0, family, text(1, table), f"table {table}")):
            return bool(_int32(attributes(body, 4).get(2, bytes(4))) & _OWNER)
        return False

    def chains(self, family: Family) -> list[Chain]:
        """All chains of the family's tables."""
        return [_chain(body) for _, body in self._dump(_GETCHAIN, family)]

    def rules(self, family: Family, table: str, chain: str = "") -> list[Rule]:
        """Rules of a table or of one of its chains, in order."""
        body = text(1, table) + (text(2, chain) if chain else b"")
        rules = [_rule(answer) for _, answer in self._dump(_GETRULE, family, body, f"rules {table}")]
        return [rule for rule in rules if rule.table == table and chain in ("", rule.chain)]

    def sets(self, family: Family, table: str) -> list[str]:
        """Names of a table's sets and maps."""
        answers = self._dump(_GETSET, family, text(1, table), f"sets {table}")
        return [string(attributes(body, 4)[2]) for _, body in answers]

    def elements(self, family: Family, table: str, name: str) -> list[Element]:
        """Elements of a set or map; none where it does not exist."""
        found = []
        for _, body in self._dump(_GETSETELEM, family, text(1, table) + text(2, name), f"set {name}"):
            for _, item in items(attributes(body, 4).get(3, b"")):
                found.append(_element(attributes(item)))
        return found

    def _dump(self, kind: int, family: int, body: bytes = b"", subject: str = "dump") -> list[tuple[int, bytes]]:
        return self._socket.query(_message(kind, DUMP, family, body, subject))


@dataclass(frozen=True, slots=True)
class Transaction:
    """Names of the tables that it changed (the table, a chain or a rule; elements do not count) and deleted."""

    changed: frozenset[str]
    deleted: frozenset[str]


class RuleEvents:
    """What changes in nf_tables, whoever changes it; in the namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._events = Subscription(NETFILTER, _GROUP)

    def fileno(self) -> int:
        return self._events.fileno()

    def close(self) -> None:
        self._events.close()

    def read(self) -> list[Transaction] | None:
        """What was done since the last call, oldest first; None when some of it is lost."""
        events = self._events.read()
        if events is None:
            return None
        found: list[Transaction] = []
        changed: set[str] = set()
        deleted: set[str] = set()
        for kind, body in events:
            if kind >> 8 != _SUBSYSTEM >> 8:
                continue
            number = kind & 0xFF
            if number == _NEWGEN:
                found.append(Transaction(frozenset(changed), frozenset(deleted)))
                changed, deleted = set(), set()
            elif number in _STRUCTURE:
                table = string(attributes(body, 4).get(1, b""))
                changed.add(table)
                if number == _DELTABLE:
                    deleted.add(table)
        return [*found, Transaction(frozenset(changed), frozenset(deleted))]


def add_table(family: Family, name: str, comment: str = "") -> Message:
    """Make a table (or keep it, where it exists)."""
    body = text(1, name) + (attribute(6, _userdata(comment)) if comment else b"")
    return _message(_NEWTABLE, CREATE, family, body, f"table {name}")


def delete_table(family: Family, name: str) -> Message:
    """Delete a table with all that is in it."""
    return _message(_DELTABLE, 0, family, text(1, name), f"delete table {name}")


def add_chain(family: Family, table: str, name: str) -> Message:
    """Make a chain that others jump to."""
    return _message(_NEWCHAIN, CREATE, family, text(1, table) + text(3, name), f"chain {name}")


def add_base_chain(
    family: Family, table: str, name: str, *, kind: str, hook: Hook, priority: int, policy: int = ACCEPT
) -> Message:
    """Make a chain that the kernel calls at `hook`. kind: filter, nat, route."""
    body = text(1, table) + text(3, name) + nest(4, be32(1, hook), be32(2, priority)) + be32(5, policy) + text(7, kind)
    return _message(_NEWCHAIN, CREATE, family, body, f"chain {name}")


def delete_chain(family: Family, table: str, name: str) -> Message:
    """Delete a chain that is empty and that nothing jumps to (any more, in this transaction)."""
    return _message(_DELCHAIN, 0, family, text(1, table) + text(3, name), f"delete chain {name}")


def add_rule(
    family: Family, table: str, chain: str, *expressions: bytes, comment: str = "", before: int = 0, append: bool = True
) -> Message:
    """Add a rule at the chain's end, at its head, or before the rule with handle `before`."""
    body = text(1, table) + text(2, chain) + nest(4, *expressions)
    if before:
        body += attribute(6, struct.pack(">Q", before))
    if comment:
        body += attribute(7, _userdata(comment))
    flags = CREATE | APPEND if append and not before else CREATE
    return _message(_NEWRULE, flags, family, body, f"rule in {chain}")


def delete_rule(family: int, table: str, chain: str, handle: int) -> Message:
    """Delete one rule."""
    body = text(1, table) + text(2, chain) + attribute(3, struct.pack(">Q", handle))
    return _message(_DELRULE, 0, family, body, f"delete rule in {chain}")


def flush_chain(family: Family, table: str, chain: str) -> Message:
    """Delete all rules of a chain."""
    return _message(_DELRULE, 0, family, text(1, table) + text(2, chain), f"flush chain {chain}")


def add_set(family: Family, table: str, name: str, number: int, *key: Type, interval: bool = False) -> Message:
    """Make a set. `number` tells sets of one transaction apart."""
    return _set(family, table, name, number, key, b"", _SET_INTERVAL if interval else 0)


def add_map(family: Family, table: str, name: str, number: int, key: Sequence[Type], data: Sequence[Type]) -> Message:
    """Make a map from `key` to `data` (both may be concatenations)."""
    kind, length = _concatenation(data)
    return _set(family, table, name, number, key, be32(6, kind) + be32(7, length), _SET_MAP)


def add_verdict_map(family: Family, table: str, name: str, number: int, *key: Type) -> Message:
    """Make a map from `key` to a verdict."""
    return _set(family, table, name, number, key, be32(6, _VERDICT_TYPE) + be32(7, 0), _SET_MAP)


def delete_set(family: Family, table: str, name: str) -> Message:
    """Delete a set or map that no rule uses."""
    return _message(_DELSET, 0, family, text(1, table) + text(2, name), f"delete set {name}")


def add_elements(family: Family, table: str, name: str, *elements: bytes) -> Message:
    """Add elements (or keep them); one that exists with other data makes the transaction fail."""
    body = text(1, table) + text(2, name) + nest(3, *elements)
    return _message(_NEWSETELEM, CREATE, family, body, f"elements of {name}")


def delete_elements(family: Family, table: str, name: str, *elements: bytes) -> Message:
    """Delete elements; one that does not exist makes the transaction fail with ENOENT."""
    body = text(1, table) + text(2, name) + nest(3, *elements)
    return _message(_DELSETELEM, 0, family, body, f"delete elements of {name}")


def element(key: bytes, value: bytes | None = None, *, verdict: bytes = b"", end: bool = False) -> bytes:
    """An element: key, what it maps to, or a verdict (`nftexpr.verdict_data`); `end` closes an interval."""
    body = nest(1, attribute(1, key))
    if value is not None:
        body += nest(2, attribute(1, value))
    if verdict:
        body += nest(2, verdict)
    if end:
        body += be32(3, _INTERVAL_END)
    return nest(1, body)


def interval(address: bytes, prefix: int) -> tuple[bytes, bytes]:
    """Two elements that mean the subnet: its first address, and the first address behind it as the end."""
    bits = len(address) * 8
    first = int.from_bytes(address, "big") >> (bits - prefix) << (bits - prefix)
    behind = (first + (1 << (bits - prefix))) % (1 << bits)
    return element(first.to_bytes(len(address), "big")), element(behind.to_bytes(len(address), "big"), end=True)


def concat(*parts: bytes) -> bytes:
    """A key or value of several parts, each padded to a 32-bit register; a single part stays as it is."""
    if len(parts) == 1:
        return parts[0]
    return b"".join(part + b"\0" * (-len(part) % 4) for part in parts)


def _message(kind: int, flags: int, family: int, body: bytes, subject: str) -> Message:
    return Message(_SUBSYSTEM | kind, flags, struct.pack(">BBH", family, 0, 0) + body, subject)


def _set(
    family: Family, table: str, name: str, number: int, key: Sequence[Type], data: bytes, flags: int
) -> Message:  # fmt: skip
    kind, length = _concatenation(key)
    body = text(1, table) + text(2, name) + be32(3, flags) + be32(4, kind) + be32(5, length) + data + be32(10, number)
    if len(key) == 1 and key[0].host_order:
        body += attribute(13, _HOST_ORDER)
    return _message(_NEWSET, CREATE, family, body, f"set {name}")


def _concatenation(parts: Sequence[Type]) -> tuple[int, int]:
    """nft's type number (6 bits a part) and length (padded parts) of a concatenation."""
    if len(parts) == 1:
        return parts[0].number, parts[0].length
    kind = length = 0
    for part in parts:
        kind = kind << 6 | part.number
        length += (part.length + 3) & ~3
    return kind, length


def _userdata(comment: str) -> bytes:
    """Userdata of rules and tables that nft(8) lists as a comment."""
    raw = comment.encode()[:253] + b"\0"
    return bytes([0, len(raw)]) + raw


def _comment(userdata: bytes) -> str:
    if len(userdata) > 2 and userdata[0] == 0:
        return string(userdata[2 : 2 + userdata[1]])
    return ""


def _chain(body: bytes) -> Chain:
    found = attributes(body, 4)
    hook = attributes(found[4]) if 4 in found else {}
    return Chain(
        family=body[0],
        table=string(found[1]),
        name=string(found[3]),
        type=string(found.get(7, b"")),
        hook=_int32(hook[1]) if 1 in hook else -1,
        priority=_int32(hook[2]) if 2 in hook else 0,
        policy=_int32(found[5]) if 5 in found else ACCEPT,
    )


def _rule(body: bytes) -> Rule:
    found = attributes(body, 4)
    expressions = []
    for _, item in items(found.get(4, b"")):
        parts = attributes(item)
        expressions.append((string(parts[1]), parts.get(2, b"")))
    handle = int.from_bytes(found[3], "big")
    comment = _comment(found.get(7, b""))
    return Rule(body[0], string(found[1]), string(found[2]), handle, comment, tuple(expressions))


def _element(found: dict[int, bytes]) -> Element:
    key = attributes(found[1]).get(1, b"") if 1 in found else b""
    data = attributes(found.get(2, b""))
    verdict = attributes(data.get(2, b""))
    end = 3 in found and bool(_int32(found[3]) & _INTERVAL_END)
    code = _int32(verdict[1]) if 1 in verdict else 0
    return Element(key, data.get(1, b""), string(verdict.get(2, b"")), code, end)


def _int32(raw: bytes) -> int:
    return int(struct.unpack(">i", raw)[0])
