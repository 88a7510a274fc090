"""The resolver's sockets in a container's network namespace.

They sit at 127.0.0.11 on a high port, so that the container may bind 0.0.0.0:53 itself. Two stateless rules a protocol
rewrite the port of what the container sends to 127.0.0.11:53, and of what comes back: no connection tracking is needed.
"""

from __future__ import annotations

import socket

from stackfile.kernel import nftables as nft
from stackfile.kernel.namespace import inside
from stackfile.kernel.netlink import Message
from stackfile.kernel.nftables import Family, Hook, Nftables
from stackfile.kernel.nftexpr import (
    destination4,
    destination_port,
    equal,
    load,
    protocol,
    set_transport_payload,
    source4,
    transport_payload,
)

ADDRESS = "127.0.0.11"
"""What a container's resolv.conf names."""

_PORT = (53).to_bytes(2, "big")
_CHECKSUM_OFFSET = {socket.IPPROTO_UDP: 6, socket.IPPROTO_TCP: 16}


def open_sockets(netns_fd: int, table: str) -> tuple[int, int]:
    """UDP and listening TCP sockets (non-blocking) in the namespace, and the rules there. The caller owns both."""
    with inside(netns_fd):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            udp.bind((ADDRESS, 0))
            tcp.bind((ADDRESS, 0))
            tcp.listen(64)
            udp.setblocking(False)
            tcp.setblocking(False)
            with Nftables() as kernel:
                if kernel.table_comment(Family.IPV4, table) is not None:
                    kernel.commit([nft.delete_table(Family.IPV4, table)])
                kernel.commit(rules(table, udp.getsockname()[1], tcp.getsockname()[1]))
        except BaseException:
            udp.close()
            tcp.close()
            raise
    return udp.detach(), tcp.detach()


def rules(table: str, udp: int, tcp: int) -> list[Message]:
    """The transaction that sends 127.0.0.11:53 to these ports."""
    messages = [
        nft.add_table(Family.IPV4, table),
        nft.add_base_chain(Family.IPV4, table, "dns", kind="filter", hook=Hook.OUTPUT, priority=-300),
    ]
    address = equal(socket.inet_aton(ADDRESS))
    for number, port in ((socket.IPPROTO_UDP, udp), (socket.IPPROTO_TCP, tcp)):
        high, checksum = port.to_bytes(2, "big"), _CHECKSUM_OFFSET[number]
        question = (destination4(), address, destination_port(), equal(_PORT), load(high))
        answer = (source4(), address, transport_payload(0, 2), equal(high), load(_PORT))
        for match, offset in ((question, 2), (answer, 0)):
            rewrite = set_transport_payload(offset, 2, checksum)
            messages.append(nft.add_rule(Family.IPV4, table, "dns", protocol(number), *match, rewrite))
    return messages
