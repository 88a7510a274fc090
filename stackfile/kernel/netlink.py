"""Raw netlink (netlink(7)): attributes, and transactions over one socket.

For the paths where a library's look-ups and message objects cost more than the kernel's own work. A socket belongs to
the network namespace of the thread that opened it, wherever that thread goes afterwards.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stackfile.errors import KernelError

ROUTE = 0
NETFILTER = 12

REQUEST, MULTI, ACK, ECHO = 0x1, 0x2, 0x4, 0x8
DUMP = 0x300
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800

_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_unpack = _ATTRIBUTE.unpack_from
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_BUFFER = 8 << 20
_BUFFERS = ((32, socket.SO_SNDBUF), (33, socket.SO_RCVBUF))
"""SO_SNDBUFFORCE and SO_RCVBUFFORCE: a batch of a thousand messages is answered by a thousand acknowledgements."""
_SOL_NETLINK, _ADD_MEMBERSHIP, _CAP_ACK, _EXT_ACK = 270, 1, 10, 11


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute (`struct nlattr`), padded to 4 bytes."""
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def be32(kind: int, value: int) -> bytes:
    """A 32-bit number in network order, as nfnetlink wants it; negative numbers as two's complement."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def u32(kind: int, value: int) -> bytes:
    """A 32-bit number in host order, as rtnetlink wants it."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """A zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Attributes of one level by type; of a repeated type the last (see `items`)."""
    # Not by way of `items`: every link and rule of the machine passes here at each plan.
    found: dict[int, bytes] = {}
    end = len(data) - 4
    while offset <= end:
        length, kind = _unpack(data, offset)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def items(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each attribute of one level."""
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def string(payload: bytes) -> str:
    """The text of a zero-terminated string attribute."""
    return payload.rstrip(b"\0").decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Message:
    """A request. `subject` says in errors what it was about."""

    kind: int
    flags: int
    body: bytes
    subject: str = ""


class NetlinkSocket:
    """A netlink socket of one protocol, in the namespace of the thread that makes it. Not thread-safe."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        for forced, plain in _BUFFERS:
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
            except PermissionError:
                self._socket.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)
        for option in (_CAP_ACK, _EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._sequence = 1

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transact(self, messages: Sequence[Message], *, ignore: frozenset[int] = frozenset()) -> None:
        """Send all messages at once, each acknowledged; KernelError of the first that failed.

        Error numbers in `ignore` are no failures. The kernel takes the messages one by one: those after a failed one
        are carried out too.
        """
        if not messages:
            return
        first = self._send(messages, ACK)
        failure: KernelError | None = None
        for sequence, kind, payload in self._replies(len(messages)):
            code = _code(payload) if kind == _ERROR else 0
            if code and code not in ignore and failure is None:
                failure = _failure(code, "netlink", messages[sequence - first], payload)
        if failure:
            raise failure

    def batch(self, messages: Sequence[Message], begin: Message, end: Message) -> None:
        """An all-or-nothing batch (nfnetlink): only `messages` are acknowledged. KernelError of the first failure."""
        wrapped = [begin, *(Message(m.kind, m.flags | ACK, m.body, m.subject) for m in messages), end]
        first = self._send(wrapped, 0)
        failure: KernelError | None = None
        left = len(messages)
        while left > 0:
            for sequence, kind, payload in self._receive():
                if kind != _ERROR:
                    continue
                left -= 1
                code = _code(payload)
                if code and failure is None:
                    failure = _failure(code, "nfnetlink", wrapped[sequence - first], payload)
                if code and sequence in (first, first + len(wrapped) - 1):
                    left = 0  # the batch itself was refused: nothing else will be answered
        if failure:
            raise failure

    def query(self, message: Message) -> list[tuple[int, bytes]]:
        """(type, body) of every answer to a request or dump; empty when the object does not exist."""
        answers: list[tuple[int, bytes]] = []
        dump = message.flags & DUMP == DUMP
        self._send([message], 0 if dump else ACK)
        for _, kind, payload in self._replies(1):
            code = _code(payload) if kind in (_ERROR, _DONE) else 0
            if code in (errno.ENOENT, errno.ENODEV):
                return []
            if code:
                raise _failure(code, "netlink", message, payload)
            if kind not in (_ERROR, _DONE):
                answers.append((kind, payload))
        return answers

    def _send(self, messages: Sequence[Message], flags: int) -> int:
        first = self._sequence
        packets = []
        for number, message in enumerate(messages, first):
            length = _HEADER.size + len(message.body)
            packets.append(_HEADER.pack(length, message.kind, message.flags | flags | REQUEST, number, 0))
            packets.append(message.body + b"\0" * (-length % 4))
        self._sequence = first + len(messages)
        try:
            self._socket.send(b"".join(packets))
        except OSError as error:
            raise KernelError(error.errno or 0, "sendmsg", "netlink") from error
        return first

    def _replies(self, count: int) -> Iterator[tuple[int, int, bytes]]:
        """(sequence, type, body) until `count` requests have their acknowledgement or the end of their dump."""
        while count > 0:
            for sequence, kind, payload in self._receive():
                yield sequence, kind, payload
                if kind in (_ERROR, _DONE):
                    count -= 1

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        try:
            data = self._socket.recv(1 << 20)
        except OSError as error:
            raise KernelError(error.errno or 0, "recvmsg", "netlink") from error
        yield from _split(data)


class Subscription:
    """What the kernel announces to a multicast group of a protocol. Non-blocking; belongs to the maker's namespace."""

    def __init__(self, protocol: int, group: int) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        try:
            self._socket.bind((0, 0))
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError as error:
            self._socket.close()
            raise KernelError(error.errno or 0, "setsockopt", "netlink membership") from error

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> list[tuple[int, bytes]] | None:
        """(type, body) of what was announced since the last call; None when so much was that some of it is lost."""
        found: list[tuple[int, bytes]] = []
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    return None
                raise KernelError(error.errno or 0, "recvmsg", "netlink") from error
            found += [(kind, payload) for _, kind, payload in _split(data)]


def _split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(sequence, type, body) of each message of a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        yield sequence, kind, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _code(payload: bytes) -> int:
    """The errno in the body of NLMSG_ERROR or NLMSG_DONE."""
    return -int(struct.unpack_from("=i", payload)[0]) if len(payload) >= 4 else 0


def _failure(code: int, call: str, message: Message, payload: bytes) -> KernelError:
    """The error of `message`, with the kernel's own words (NLMSGERR_ATTR_MSG) where it gave some."""
    words = attributes(payload, 20).get(1, b"")
    subject = f"{message.subject} ({string(words)})" if words else message.subject
    return KernelError(code, call, subject)
