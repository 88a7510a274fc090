"""A container's place at a bridge, looked at from both ends, and put right."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from stackfile.kernel import rtnetlink
from stackfile.kernel.namespace import inside
from stackfile.kernel.netlink import ROUTE, NetlinkSocket
from stackfile.model.container import NetworkRecord
from stackfile.network.attachment import bridge_index

_UP = 1
_FLAGS = 8
"""Offset of the flags in struct ifinfomsg."""


@dataclass(frozen=True, slots=True)
class PortFacts:
    """The machine's end of a container's pair. `name` is "" where the container has no such interface."""

    name: str = ""
    index: int = 0
    attached: bool = False
    """It is a port of the network's bridge."""
    up: bool = False

    @property
    def whole(self) -> bool:
        return self.attached and self.up


def look(route: NetlinkSocket, netns_fd: int, interface: str, network: NetworkRecord) -> PortFacts:
    """What the kernel has of a container's `interface`. `route` is a socket of the machine's namespace."""
    with inside(netns_fd), NetlinkSocket(ROUTE) as own:
        inner = own.query(rtnetlink.get_link(interface))
    if not inner:
        return PortFacts()
    outer = route.query(rtnetlink.get_link_at(rtnetlink.link_peer(inner[0][1])))
    if not outer or rtnetlink.link_peer(outer[0][1]) != rtnetlink.link_index(inner[0][1]):
        return PortFacts()
    end = outer[0][1]
    bridge = route.query(rtnetlink.get_link(network.interface))
    return PortFacts(
        name=rtnetlink.link_name(end),
        index=rtnetlink.link_index(end),
        attached=bool(bridge) and rtnetlink.link_master(end) == rtnetlink.link_index(bridge[0][1]),
        up=bool(struct.unpack_from("=I", end, _FLAGS)[0] & _UP),
    )


def put_back(route: NetlinkSocket, port: PortFacts, network: NetworkRecord, mtu: int) -> None:
    """Make the machine's end a port of the bridge again. NotFoundError when there is no bridge."""
    route.transact([rtnetlink.enslave(port.index, bridge_index(route, network), mtu)])
