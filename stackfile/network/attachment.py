"""A container's end of a network: veth pair, addresses, routes, neighbours. The hot path: raw netlink only."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from stackfile.errors import ConflictError, KernelError, NotFoundError
from stackfile.kernel import rtnetlink
from stackfile.kernel.namespace import fresh, inside
from stackfile.kernel.netlink import ROUTE, Message, NetlinkSocket
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.network import options, sysctl
from stackfile.network.subnets import hardware

FIRST = "eth0"
"""A container's first interface."""
_LOOPBACK = 1
_ATTEMPTS, _PAUSE = 100, 0.0005
_DEFAULTS = (
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
    ("ipv6/conf/default/accept_ra", "0"),
)
"""What a namespace gets: ports below 1024 and ping for every user, as in Docker; no IPv6 addresses by themselves."""
_GONE = frozenset({errno.ENOENT, errno.ENODEV})


@dataclass(frozen=True, slots=True)
class Wired:
    """A namespace that waits for its container: a veth pair is there (`eth0` inside), on no bridge yet, both ends down.

    Whoever has it owns `netns` and `route`, a socket inside; `release` closes both, and then all of it goes.
    """

    netns: int
    route: NetlinkSocket
    link: str
    """The machine's end."""
    index: int
    """Index of that end."""
    inside: int
    """Index of the other one, in the namespace."""

    def release(self) -> None:
        """Close the socket and the namespace's descriptor (what the supervisor or a process holds lives on)."""
        self.route.close()
        os.close(self.netns)


def new_namespace() -> int:
    """A descriptor of a fresh network namespace with lo up."""
    with fresh() as fd:
        with NetlinkSocket(ROUTE) as route:
            route.transact([rtnetlink.link_up(_LOOPBACK)])
        for name, value in _DEFAULTS:
            if sysctl.read(name):
                sysctl.write(name, value)
    return fd


def wire(route: NetlinkSocket, prefix: str) -> Wired:
    """A fresh namespace with its veth pair, ready for `attach`. `prefix` begins the name of the machine's end."""
    fd = new_namespace()
    own: NetlinkSocket | None = None
    try:
        name = f"{prefix}v{secrets.token_hex(5)[:9]}"
        route.transact([rtnetlink.veth(name, _own_mac(name), 0, FIRST, "", fd)])
        if _has_ipv6():
            route.transact([rtnetlink.no_link_local(name)])
        with inside(fd):
            own = NetlinkSocket(ROUTE)
        return Wired(fd, own, name, _index(route, name), _index(own, FIRST))
    except BaseException:
        if own is not None:
            own.close()
        os.close(fd)
        raise


def link_name(prefix: str, identity: str, network_id: str, netns_fd: int) -> str:
    """The machine's end of the pair. Another namespace gives another name: an old one may still be ending."""
    place = f"{identity} {network_id} {os.fstat(netns_fd).st_ino}"
    return f"{prefix}v{hashlib.sha256(place.encode()).hexdigest()[:9]}"


def attach(
    route: NetlinkSocket, name: str, netns_fd: int, interface: str, network: NetworkRecord, endpoint: Endpoint,
    *, default_route: bool,
) -> None:  # fmt: skip
    """Connect the namespace. `route` is a socket of the machine's namespace, `name` the pair's end there."""
    bridge = bridge_index(route, network)
    mac = _mac(endpoint)
    mtu = options.mtu(network)
    present = _connected(route, netns_fd, interface, bridge)
    if present:
        name = present
    else:
        _make_pair(route, name, bridge, interface, mac, netns_fd, mtu)
    setup = [*_port(name, _index(route, name), bridge, mac, endpoint)]
    if _has_ipv6():
        setup.insert(0, rtnetlink.no_link_local(name))
    route.transact(setup)
    with inside(netns_fd):
        own = NetlinkSocket(ROUTE)
    with own:
        index = _index(own, interface)
        own.transact(_configuration(index, network, endpoint, default_route=default_route and not network.internal))
        _wait(route, name, own, interface, network, endpoint)


def attach_wired(
    route: NetlinkSocket, wired: Wired, network: NetworkRecord, endpoint: Endpoint, *, default_route: bool
) -> None:
    """Connect a namespace that waits, by its `eth0`. Once for each; from then on it is as any other."""
    bridge = bridge_index(route, network)
    mac = _mac(endpoint)
    mtu = options.mtu(network)
    port = _port(wired.link, wired.index, bridge, mac, endpoint)
    route.transact([rtnetlink.enslave(wired.index, bridge, mtu), *port])
    rows = _configuration(wired.inside, network, endpoint, default_route=default_route and not network.internal)
    wired.route.transact([rtnetlink.link_address(wired.inside, mac, mtu), *rows])
    _wait(route, wired.link, wired.route, FIRST, network, endpoint)


def route_by(
    netns_fd: int, interface: str, network: NetworkRecord, endpoint: Endpoint, versions: Iterable[int]
) -> None:
    """Lead the default routes of these families (4, 6) through the endpoint's gateways."""
    with inside(netns_fd):
        own = NetlinkSocket(ROUTE)
    with own:
        index = _index(own, interface)
        for version in versions:
            gateway = endpoint.gateway6 if version == 6 else endpoint.gateway
            # IPv6 would keep the old one beside it.
            own.transact([rtnetlink.no_default_route(version)], ignore=_GONE | {errno.ESRCH})
            if gateway and not network.internal:
                own.transact([rtnetlink.default_route(index, gateway)])


def _wait(
    route: NetlinkSocket, name: str, own: NetlinkSocket, interface: str, network: NetworkRecord, endpoint: Endpoint
) -> None:
    _wait_until_up(own, interface)
    _wait_until_up(route, name)
    _wait_until_up(route, network.interface)  # it has no carrier while it has no port
    if endpoint.ipv6:
        _wait_until_local(own, endpoint.ipv6)
        _wait_until_local(route, endpoint.gateway6)


def _wait_until_local(route: NetlinkSocket, address: str) -> None:
    """Until the namespace takes packets for this IPv6 address: also without detection the kernel gets to it later."""
    for _ in range(_ATTEMPTS if address else 0):
        try:
            found = route.query(rtnetlink.get_route(address))
        except KernelError as error:
            if error.errno != errno.ENETUNREACH:
                raise
            found = []
        if found and rtnetlink.is_local(found[0][1]):
            return
        time.sleep(_PAUSE)


def _wait_until_up(route: NetlinkSocket, name: str) -> None:
    """Until the link sends (and forwards, as a port): both learn of the carrier later, by the kernel's link watch.

    A packet before that would be lost, and sent again after a second. From Linux 6.8 on asking for the link runs the
    link watch, and the first answer is the last.
    """
    for _ in range(_ATTEMPTS):
        found = route.query(rtnetlink.get_link(name))
        if not found or rtnetlink.is_operational(found[0][1]):
            return
        time.sleep(_PAUSE)


def detach(route: NetlinkSocket, netns_fd: int | None, bridge: str, addresses: Iterable[str]) -> None:
    """Delete the pair (with no namespace it is left to end with it) and the neighbours. What is gone is skipped."""
    found = route.query(rtnetlink.get_link(bridge))
    if not found:
        return
    index = rtnetlink.link_index(found[0][1])
    names = [] if netns_fd is None else [name for _, name in _pairs(route, netns_fd, index)]
    messages = [rtnetlink.delete_link(name) for name in names]
    messages += [rtnetlink.delete_neighbour(index, address) for address in addresses if address]
    route.transact(messages, ignore=_GONE)


def bridge_index(route: NetlinkSocket, network: NetworkRecord) -> int:
    """Index of the network's bridge. NotFoundError when there is none."""
    found = route.query(rtnetlink.get_link(network.interface))
    if not found:
        raise NotFoundError("bridge", network.interface, cause=f"network {network.name} is not set up")
    return rtnetlink.link_index(found[0][1])


def _pairs(route: NetlinkSocket, netns_fd: int, bridge: int) -> list[tuple[str, str]]:
    """(interface inside, the machine's end) of every pair between the namespace and the bridge."""
    with inside(netns_fd), NetlinkSocket(ROUTE) as own:
        links = [body for _, body in own.query(rtnetlink.all_links())]
    pairs = []
    for link in links:
        other = rtnetlink.link_peer(link)
        found = route.query(rtnetlink.get_link_at(other)) if other else []
        if not found:
            continue
        end = found[0][1]
        if rtnetlink.link_peer(end) == rtnetlink.link_index(link) and rtnetlink.link_master(end) == bridge:
            pairs.append((rtnetlink.link_name(link), rtnetlink.link_name(end)))
    return pairs


def _connected(route: NetlinkSocket, netns_fd: int, interface: str, bridge: int) -> str:
    """The machine's end where `interface` leads to this bridge already, else ""."""
    if not _exists_inside(netns_fd, interface):
        return ""
    return next((name for inner, name in _pairs(route, netns_fd, bridge) if inner == interface), "")


def _make_pair(route: NetlinkSocket, name: str, bridge: int, peer: str, mac: str, netns_fd: int, mtu: int) -> None:
    """Make the veth pair; what an ending namespace has left of that name goes first."""
    pair = rtnetlink.veth(name, _own_mac(name), bridge, peer, mac, netns_fd, mtu)
    try:
        route.transact([pair])
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        if _exists_inside(netns_fd, peer):
            raise ConflictError("conflict", f"interface {peer} exists already in the container") from error
        # Of a namespace that is ending, whose number the new one was given.
        route.transact([rtnetlink.delete_link(name)], ignore=_GONE)
        route.transact([pair])


def _exists_inside(netns_fd: int, name: str) -> bool:
    with inside(netns_fd), NetlinkSocket(ROUTE) as own:
        return bool(own.query(rtnetlink.get_link(name)))


def _port(name: str, index: int, bridge: int, mac: str, endpoint: Endpoint) -> list[Message]:
    """The machine's side: a port of the bridge, and where the container's addresses are."""
    return [
        rtnetlink.bridge_port(name),
        # A container that starts again has its old address, and what is left of the old one may still be there.
        rtnetlink.bridge_station(index, mac),
        *(rtnetlink.neighbour(bridge, address, mac) for address in (endpoint.ipv4, endpoint.ipv6) if address),
    ]


def _configuration(index: int, network: NetworkRecord, endpoint: Endpoint, *, default_route: bool) -> list[Message]:
    """The container's side: addresses, and the gateways with their hardware address."""
    families = (
        (endpoint.ipv4, endpoint.ipv4_prefix, endpoint.gateway),
        (endpoint.ipv6, endpoint.ipv6_prefix, endpoint.gateway6),
    )
    used = [row for row in families if row[0]]
    bridge = hardware(network.gateways[0]) if network.gateways else ""
    messages = [rtnetlink.address(index, value, prefix) for value, prefix, _ in used]
    messages.append(rtnetlink.link_up(index))
    for _, _, gateway in used:
        if gateway and bridge:
            messages.append(rtnetlink.neighbour(index, gateway, bridge))
        if gateway and default_route:
            messages.append(rtnetlink.default_route(index, gateway))
    return messages


def _mac(endpoint: Endpoint) -> str:
    return endpoint.mac or hardware(endpoint.ipv4 or endpoint.ipv6)


def _own_mac(name: str) -> str:
    """The hardware address of the machine's end."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return "02:43:" + ":".join(digest[i : i + 2] for i in range(0, 8, 2))


def _has_ipv6() -> bool:
    return os.path.exists("/proc/sys/net/ipv6")


def _index(route: NetlinkSocket, name: str) -> int:
    found = route.query(rtnetlink.get_link(name))
    if not found:
        raise NotFoundError("interface", name)
    return rtnetlink.link_index(found[0][1])
