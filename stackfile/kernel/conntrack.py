"""Connection tracking over raw nfnetlink (linux/netfilter/nfnetlink_conntrack.h)."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Set

from stackfile.errors import KernelError
from stackfile.kernel.netlink import DUMP, NETFILTER, Message, NetlinkSocket, attributes, nest

_SUBSYSTEM = 1 << 8
_GET, _DELETE = 1, 2
_TUPLE_ORIG, _TUPLE_PROTO = 1, 2
_PROTO_NUMBER, _PROTO_DESTINATION = 1, 3


def count() -> int:
    """How many connections the machine tracks, in the calling thread's network namespace; 0 where it cannot be told."""
    try:
        with open("/proc/sys/net/netfilter/nf_conntrack_count") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def flush(ports: Set[tuple[int, int]], family: int = socket.AF_INET) -> int:
    """Forget the connections that were made to one of these (protocol, destination port); returns how many.

    UDP has no end of a connection: without this, a client that keeps sending is led to the old target for good.
    Takes some 7 µs for every connection that the machine tracks.
    """
    head = struct.pack(">BBH", family, 0, 0)
    count = 0
    with NetlinkSocket(NETFILTER) as netlink:
        for _, body in netlink.query(Message(_SUBSYSTEM | _GET, DUMP, head, "conntrack")):
            original = attributes(body, 4).get(_TUPLE_ORIG, b"")
            if _port(original) not in ports:
                continue
            request = Message(_SUBSYSTEM | _DELETE, 0, head + nest(_TUPLE_ORIG, original), "conntrack entry")
            try:
                netlink.transact([request], ignore=frozenset({errno.ENOENT}))
                count += 1
            except KernelError:
                continue  # it ended by itself, or is being replaced: the next packet decides anew
    return count


def _port(original: bytes) -> tuple[int, int]:
    """(protocol, destination port) of a tuple; port 0 where the protocol has none."""
    protocol = attributes(attributes(original).get(_TUPLE_PROTO, b""))
    port = protocol.get(_PROTO_DESTINATION, b"\0\0")
    return protocol.get(_PROTO_NUMBER, b"\0")[0], int.from_bytes(port, "big")
