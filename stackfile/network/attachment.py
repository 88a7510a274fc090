"""A container's end of a network: veth pair, address, routes, neighbours. The hot path: raw netlink only."""

from __future__ import annotations

import errno
import hashlib
import os
import time

from stackfile.errors import ConflictError, KernelError, NotFoundError
from stackfile.kernel import rtnetlink
from stackfile.kernel.namespace import fresh, inside
from stackfile.kernel.netlink import ROUTE, Message, NetlinkSocket
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.network import sysctl
from stackfile.network.subnets import hardware

_LOOPBACK = 1
_ATTEMPTS, _PAUSE = 100, 0.0005
_DEFAULTS = (
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv4/ping_group_range", "0 2147483647"),
    ("ipv6/conf/default/addr_gen_mode", "1"),
)
"""What a namespace gets: ports below 1024 and ping for every user, as in Docker; no IPv6 addresses by themselves."""


def new_namespace() -> int:
    """A descriptor of a fresh network namespace with lo up."""
    with fresh() as fd:
        with NetlinkSocket(ROUTE) as route:
            route.transact([rtnetlink.link_up(_LOOPBACK)])
        for name, value in _DEFAULTS:
            if sysctl.read(name):
                sysctl.write(name, value)
    return fd


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
    mac = endpoint.mac or hardware(endpoint.ipv4)
    _make_pair(route, name, bridge, interface, mac, netns_fd)
    setup = [
        rtnetlink.bridge_port(name),
        # A container that starts again has its old address, and what is left of the old one may still be there.
        rtnetlink.bridge_station(_index(route, name), mac),
        rtnetlink.neighbour(bridge, endpoint.ipv4, mac),
    ]
    if os.path.exists("/proc/sys/net/ipv6"):
        setup.insert(0, rtnetlink.no_link_local(name))
    route.transact(setup)
    with inside(netns_fd):
        own = NetlinkSocket(ROUTE)
    with own:
        index = _index(own, interface)
        own.transact(_configuration(index, endpoint, default_route=default_route and not network.internal))
        _wait_until_up(own, interface)
    _wait_until_up(route, name)
    _wait_until_up(route, network.interface)  # it has no carrier while it has no port


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


def detach(route: NetlinkSocket, name: str, bridge: str, address: str) -> None:
    """Delete the pair (with an empty name it ends with its namespace) and the neighbour. What is gone is skipped."""
    gone = frozenset({errno.ENOENT, errno.ENODEV})
    messages = [rtnetlink.delete_link(name)] if name else []
    found = route.query(rtnetlink.get_link(bridge))
    if found and address:
        messages.append(rtnetlink.delete_neighbour(rtnetlink.link_index(found[0][1]), address))
    route.transact(messages, ignore=gone)


def bridge_index(route: NetlinkSocket, network: NetworkRecord) -> int:
    """Index of the network's bridge. NotFoundError when there is none."""
    found = route.query(rtnetlink.get_link(network.interface))
    if not found:
        raise NotFoundError("bridge", network.interface, cause=f"network {network.name} is not set up")
    return rtnetlink.link_index(found[0][1])


def _make_pair(route: NetlinkSocket, name: str, bridge: int, peer: str, mac: str, netns_fd: int) -> None:
    """Make the veth pair, unless the namespace has it already."""
    own = "02:43:" + ":".join(hashlib.sha256(name.encode()).hexdigest()[i : i + 2] for i in range(0, 8, 2))
    pair = rtnetlink.veth(name, own, bridge, peer, mac, netns_fd)
    try:
        route.transact([pair])
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        present = _exists_inside(netns_fd, peer)
        if not route.query(rtnetlink.get_link(name)):
            raise ConflictError("conflict", f"interface {peer} exists already in the container") from error
        if not present:  # of a namespace that is ending, whose number the new one was given
            route.transact([rtnetlink.delete_link(name)], ignore=frozenset({errno.ENODEV}))
            route.transact([pair])


def _exists_inside(netns_fd: int, name: str) -> bool:
    with inside(netns_fd), NetlinkSocket(ROUTE) as own:
        return bool(own.query(rtnetlink.get_link(name)))


def _configuration(index: int, endpoint: Endpoint, *, default_route: bool) -> list[Message]:
    messages = [
        rtnetlink.address(index, endpoint.ipv4, endpoint.ipv4_prefix),
        rtnetlink.link_up(index),
    ]
    if endpoint.gateway:
        messages.append(rtnetlink.neighbour(index, endpoint.gateway, hardware(endpoint.gateway)))
        if default_route:
            messages.append(rtnetlink.default_route(index, endpoint.gateway))
    return messages


def _index(route: NetlinkSocket, name: str) -> int:
    found = route.query(rtnetlink.get_link(name))
    if not found:
        raise NotFoundError("interface", name)
    return rtnetlink.link_index(found[0][1])
