"""DNS messages by hand (RFC 1035), for what is asked all the time: one question, answered by addresses or by nothing.

An answer is the query's id, flags, the question as it was sent (letters keep their case), and fixed records that point
back at the question's name. Everything else goes through dnslib.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, PTR, AAAA, ANY = 1, 12, 28, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)

TTL = 10
"""Seconds. Short, since a recreated container has another address."""

UDP_SIZE = 512
"""What every client takes in a datagram."""

_HEADER = struct.Struct(">HHHHHH")
_COUNTS = struct.Struct(">HHHHH")
_TAIL = struct.Struct(">HH")
_RESPONSE, _RECURSION_DESIRED, _RECURSION_AVAILABLE, _OPCODE, _TRUNCATED = 0x8000, 0x0100, 0x0080, 0x7800, 0x0200
_MAX_LABEL = 63
_POINTER = b"\xc0\x0c"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `name` is lower case without the final dot, `raw` the question as it stands in the message."""

    name: str
    kind: int
    kind_class: int
    raw: bytes


def is_query(message: bytes) -> bool:
    """The message is long enough to be answered and is no answer itself."""
    return len(message) >= _HEADER.size and not message[2] & 0x80


def parse(query: bytes) -> Question | None:
    """The question of a standard query; None if it has not exactly one, or is malformed."""
    flags, count = struct.unpack_from(">HH", query, 2)
    if count != 1 or flags & _OPCODE:
        return None
    labels = []
    offset = _HEADER.size
    try:
        while length := query[offset]:
            if length > _MAX_LABEL:
                return None
            labels.append(query[offset + 1 : offset + 1 + length])
            offset += length + 1
        kind, kind_class = _TAIL.unpack_from(query, offset + 1)
    except (IndexError, struct.error):
        return None
    name = b".".join(labels).decode("latin-1").lower()
    return Question(name, kind, kind_class, query[_HEADER.size : offset + 5])


def answer(query: bytes, question: Question, addresses: Sequence[bytes], code: int = NOERROR) -> bytes:
    """The answer without its two bytes of id: address records (4 or 16 bytes each) or none, and the result code."""
    flags = _RESPONSE | _RECURSION_AVAILABLE | (query[2] & 1) << 8 | code
    records = [
        _POINTER + struct.pack(">HHIH", A if len(raw) == 4 else AAAA, IN, TTL, len(raw)) + raw for raw in addresses
    ]
    return _COUNTS.pack(flags, 1, len(records), 0, 0) + question.raw + b"".join(records)


def failure(query: bytes, code: int) -> bytes:
    """A whole answer without question and records."""
    flags = struct.unpack_from(">H", query, 2)[0]
    kept = flags & (_OPCODE | _RECURSION_DESIRED)
    return query[:2] + _COUNTS.pack(_RESPONSE | _RECURSION_AVAILABLE | kept | code, 0, 0, 0, 0)


def room(question: Question) -> int:
    """How many IPv4 addresses fit into a datagram."""
    return (UDP_SIZE - _HEADER.size - len(question.raw)) // 16


def answers_to(message: bytes, query: bytes, question: Question) -> bool:
    """`message` is the answer to `query`: same id, same question (in any case)."""
    if len(message) < _HEADER.size or message[:2] != query[:2] or not message[2] & 0x80:
        return False
    if message[4:6] == b"\0\0":  # refused or failed without repeating the question
        return True
    asked = message[_HEADER.size : _HEADER.size + len(question.raw)]
    return asked.lower() == question.raw.lower()
