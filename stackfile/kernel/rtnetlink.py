"""rtnetlink(7) messages for what happens often: veth pairs, addresses, routes and neighbours of a container's start,
and what links there are. Bridges, and what is asked for rarely, go through pyroute2.
"""

from __future__ import annotations

import socket
import struct

from stackfile.kernel.netlink import (
    CREATE,
    DUMP,
    EXCLUSIVE,
    REPLACE,
    Message,
    attribute,
    attributes,
    nest,
    string,
    text,
    u32,
)

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _GETADDR = 20, 22
NEW_LINK, NEW_ADDRESS = _NEWLINK, _NEWADDR
"""Types of the answers to `all_links` and `all_addresses`."""
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_LOCAL = 2
_NEWNEIGH, _DELNEIGH = 28, 29

_UP = 1
_IFNAME, _ADDRESS, _MASTER, _LINKINFO, _NET_NS_FD, _AF_SPEC = 3, 1, 10, 18, 28, 26
_MTU, _LINK = 4, 5
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 4, 5
_STATE, _HAIRPIN, _FORWARDING = 1, 4, b"\x03"
_IFALIAS, _EXT_MASK, _SKIP_STATS = 20, 29, 8
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_OPERSTATE, _OPERATIONAL = 16, b"\x06"
_AF_BRIDGE = 7
_NODAD = 0x02
_PERMANENT, _NOARP = 0x80, 0x40
_MASTER_FLAG, _STICKY = 0x04, 0x40
_UNIVERSE, _BOOT, _UNICAST, _MAIN = 0, 3, 1, 254
_INET6_ADDR_GEN_MODE, _GEN_NONE = 8, 1


def packed(address: str) -> bytes:
    """An IPv4 or IPv6 address in network order."""
    return socket.inet_pton(_family(address), address)


def mac(address: str) -> bytes:
    """Six bytes of `02:42:0a:59:00:02`."""
    return bytes.fromhex(address.replace(":", ""))


def plain_link(name: str, kind: str) -> Message:
    """An interface of a kind, with whatever that kind chooses by itself."""
    body = _link() + text(_IFNAME, name[:15]) + nest(_LINKINFO, text(_INFO_KIND, kind))
    return Message(_NEWLINK, CREATE | EXCLUSIVE, body, f"{kind} {name}")


def veth(name: str, name_mac: str, master: int, peer: str, peer_mac: str, netns_fd: int, mtu: int = 0) -> Message:
    """Make a veth pair: `name` here, on the bridge with index `master` (0: on none); `peer` in the namespace.

    `peer_mac` "" leaves its address to the kernel, as `mtu` 0 the size of packets.
    """
    size = u32(_MTU, mtu) if mtu else b""
    peer_address = attribute(_ADDRESS, mac(peer_mac)) if peer_mac else b""
    end = _link() + text(_IFNAME, peer) + peer_address + size + u32(_NET_NS_FD, netns_fd)
    info = nest(_LINKINFO, text(_INFO_KIND, "veth"), nest(_INFO_DATA, attribute(_VETH_PEER, end)))
    body = _link() + text(_IFNAME, name) + attribute(_ADDRESS, mac(name_mac)) + size
    body += (u32(_MASTER, master) if master else b"") + info
    return Message(_NEWLINK, CREATE | EXCLUSIVE, body, f"veth {name}")


def enslave(index: int, master: int, mtu: int = 0) -> Message:
    """Put a link on the bridge with index `master`."""
    body = _link(index) + u32(_MASTER, master) + (u32(_MTU, mtu) if mtu else b"")
    return Message(_NEWLINK, 0, body, f"port {index} of bridge {master}")


def link_address(index: int, hardware: str, mtu: int = 0) -> Message:
    """Give the link a hardware address (and a size of packets)."""
    body = _link(index) + attribute(_ADDRESS, mac(hardware)) + (u32(_MTU, mtu) if mtu else b"")
    return Message(_NEWLINK, 0, body, f"hardware address {hardware}")


def link_up(index: int) -> Message:
    """Set a link up."""
    return Message(_NEWLINK, 0, _link(index, _UP), f"up {index}")


def bridge_port(name: str) -> Message:
    """Set a bridge's port up, in hairpin mode: a frame may leave by the port that it came from.

    Needed where br_netfilter is on: a container that reaches itself through a published port is translated within the
    bridge then, without coming up to the machine's routing.
    """
    port = nest(_LINKINFO, text(_INFO_SLAVE_KIND, "bridge"), nest(_INFO_SLAVE_DATA, attribute(_HAIRPIN, b"\x01")))
    return Message(_NEWLINK, 0, _link(0, _UP) + text(_IFNAME, name) + port, f"bridge port {name}")


def no_link_local(name: str) -> Message:
    """Keep the kernel from giving the link an IPv6 address of its own, and from chatting about it."""
    spec = nest(_AF_SPEC, nest(socket.AF_INET6, attribute(_INET6_ADDR_GEN_MODE, bytes([_GEN_NONE]))))
    return Message(_NEWLINK, 0, _link() + text(_IFNAME, name) + spec, f"addr_gen_mode {name}")


def delete_link(name: str) -> Message:
    """Delete a link (a veth takes its peer along; the kernel needs 14 ms)."""
    return Message(_DELLINK, 0, _link() + text(_IFNAME, name), f"delete {name}")


def get_link(name: str) -> Message:
    """Ask for one link by name."""
    return Message(_GETLINK, 0, _link() + text(_IFNAME, name), f"link {name}")


def get_link_at(index: int) -> Message:
    """Ask for one link by index."""
    return Message(_GETLINK, 0, _link(index), f"link {index}")


def all_links() -> Message:
    """Ask for all links, without their counters."""
    return Message(_GETLINK, DUMP, _link() + u32(_EXT_MASK, _SKIP_STATS), "links")


def all_addresses() -> Message:
    """Ask for all addresses."""
    return Message(_GETADDR, DUMP, struct.pack("=BBBBI", socket.AF_UNSPEC, 0, 0, 0, 0), "addresses")


def address_of(body: bytes) -> tuple[str, int]:
    """(`10.89.0.1/24`, index of the link) of an answer to `all_addresses`."""
    family, prefix, _, _, index = struct.unpack_from("=BBBBI", body)
    found = attributes(body, 8)
    # IFA_LOCAL is one's own end of a point-to-point link, where IFA_ADDRESS is the other's.
    raw = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
    return f"{socket.inet_ntop(family, raw)}/{prefix}", index


def address(index: int, value: str, prefix: int) -> Message:
    """Give the link an address; without duplicate address detection."""
    family = _family(value)
    raw = packed(value)
    flags = _NODAD if family == socket.AF_INET6 else 0
    body = struct.pack("=BBBBI", family, prefix, flags, _UNIVERSE, index) + attribute(1, raw) + attribute(2, raw)
    return Message(_NEWADDR, CREATE | REPLACE, body, f"address {value}/{prefix}")


def default_route(index: int, gateway: str) -> Message:
    """A default route through the gateway on the link."""
    head = struct.pack("=BBBBBBBBI", _family(gateway), 0, 0, 0, _MAIN, _BOOT, _UNIVERSE, _UNICAST, 0)
    body = head + attribute(5, packed(gateway)) + u32(4, index)
    return Message(_NEWROUTE, CREATE | REPLACE, body, f"default route via {gateway}")


def get_route(value: str) -> Message:
    """Ask how packets to this address would go."""
    family = _family(value)
    bits = 128 if family == socket.AF_INET6 else 32
    head = struct.pack("=BBBBBBBBI", family, bits, 0, 0, 0, 0, 0, 0, 0)
    return Message(_GETROUTE, 0, head + attribute(1, packed(value)), f"route to {value}")


def is_local(body: bytes) -> bool:
    """Whether a GETROUTE answer says that the address is one's own."""
    return body[7] == _LOCAL


def no_default_route(version: int) -> Message:
    """Delete the default route of a family (4 or 6); ESRCH when there is none."""
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    head = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _MAIN, 0, _UNIVERSE, 0, 0)
    return Message(_DELROUTE, 0, head, "default route")


def neighbour(index: int, value: str, hardware: str) -> Message:
    """A permanent neighbour: nobody needs to ask for its hardware address."""
    head = struct.pack("=BxxxiHBB", _family(value), index, _PERMANENT, 0, _UNICAST)
    body = head + attribute(1, packed(value)) + attribute(2, mac(hardware))
    return Message(_NEWNEIGH, CREATE | REPLACE, body, f"neighbour {value}")


def bridge_station(index: int, hardware: str) -> Message:
    """Tell the bridge that this hardware address is at its port `index`, whoever else claims to have it."""
    head = struct.pack("=BxxxiHBB", _AF_BRIDGE, index, _NOARP, _MASTER_FLAG | _STICKY, _UNICAST)
    return Message(_NEWNEIGH, CREATE | REPLACE, head + attribute(2, mac(hardware)), f"bridge station {hardware}")


def delete_neighbour(index: int, value: str) -> Message:
    """Forget a neighbour."""
    body = struct.pack("=BxxxiHBB", _family(value), index, 0, 0, _UNICAST) + attribute(1, packed(value))
    return Message(_DELNEIGH, 0, body, f"neighbour {value}")


def link_index(body: bytes) -> int:
    """Index of the link that a GETLINK answer describes."""
    return int(struct.unpack_from("=i", body, 4)[0])


def link_name(body: bytes) -> str:
    """Name of the link of a GETLINK answer."""
    return string(attributes(body, 16).get(_IFNAME, b""))


def link_row(body: bytes) -> tuple[int, str, str, int, bool, str]:
    """(index, name, kind, master, whether set up, alias) of a GETLINK answer; kind is "" for hardware."""
    found = attributes(body, 16)
    kind = string(attributes(found.get(_LINKINFO, b"")).get(_INFO_KIND, b""))
    name, alias = string(found.get(_IFNAME, b"")), string(found.get(_IFALIAS, b""))
    index, flags = struct.unpack_from("=iI", body, 4)
    return index, name, kind, _number(found.get(_MASTER, b"")), bool(flags & _UP), alias


def link_peer(body: bytes) -> int:
    """Index of the other end of a veth pair, in its own namespace; 0 for other links."""
    return _number(attributes(body, 16).get(_LINK, b""))


def link_master(body: bytes) -> int:
    """Index of the bridge that the link of a GETLINK answer is a port of, 0 for none."""
    return _number(attributes(body, 16).get(_MASTER, b""))


def is_operational(body: bytes) -> bool:
    """Whether the link of a GETLINK answer is up with carrier, and forwards if it is a bridge's port."""
    found = attributes(body, 16)
    port = attributes(attributes(found.get(_LINKINFO, b"")).get(_INFO_SLAVE_DATA, b""))
    return found.get(_OPERSTATE) == _OPERATIONAL and port.get(_STATE, _FORWARDING) == _FORWARDING


def _number(raw: bytes) -> int:
    return int(struct.unpack("=I", raw)[0]) if len(raw) == 4 else 0


def _link(index: int = 0, flags: int = 0) -> bytes:
    """struct ifinfomsg; `flags` are set and their bits are the ones that change."""
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _family(value: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in value else socket.AF_INET
