"""What this machine offers to our networks, and what stands in their way."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from stackfile.errors import KernelError
from stackfile.kernel import conntrack, rtnetlink
from stackfile.kernel.namespace import fresh
from stackfile.kernel.netlink import ROUTE, NetlinkSocket
from stackfile.kernel.nftables import Nftables
from stackfile.network import firewall, legacy, sysctl, table

OK, WARNING, MISSING = "ok", "warning", "missing"
_NEEDED = ("bridge", "veth")
_KINDS = (*_NEEDED, "vxlan")
_FULL = 0.8
"""Part of the connection table's room at which it counts as full."""


class Check(NamedTuple):
    """One line of `system doctor`. status: ok, warning, missing."""

    name: str
    status: str
    found: str
    mend: str


def checks(ours: str, bridges: Mapping[str, bool]) -> list[Check]:
    """All checks, for the namespace of the calling thread.

    `ours` is our table; `bridges` are our own, each with whether it has IPv6.
    """
    machine = [_namespaces(), _links(), _nftables(ours), _forwarding(bridges), _ipv6(), _tracking()]
    return [*machine, *(_bridge_calls(name) for name in ("iptables", "ip6tables")), *_others(ours, bridges)]


@contextmanager
def _apart() -> Iterator[None]:
    """Run the block in a network namespace that goes with it."""
    with fresh() as fd:
        yield
    os.close(fd)


def _namespaces() -> Check:
    try:
        with _apart():
            pass
    except KernelError as error:
        return _refused("network namespaces", error, "use a kernel with CONFIG_NET_NS")
    return Check("network namespaces", OK, "can be made", "")


def _links() -> Check:
    """Make one of each kind in a namespace of its own: what is not there is not loaded either."""
    lacking = []
    try:
        with _apart(), NetlinkSocket(ROUTE) as route:
            for kind in _KINDS:
                try:
                    route.transact([rtnetlink.plain_link(f"doctor-{kind}", kind)])
                except KernelError as error:
                    if error.errno == errno.EOPNOTSUPP:  # others are about what a kind wants to be told
                        lacking.append(kind)
    except KernelError as error:
        return _refused("links", error, "use a kernel with CONFIG_NET_NS")
    if not lacking:
        return Check("links", OK, ", ".join(_KINDS), "")
    status = MISSING if set(lacking) & set(_NEEDED) else WARNING
    return Check("links", status, f"without {', '.join(lacking)}", f"modprobe {' '.join(lacking)}")


def _nftables(ours: str) -> Check:
    """Load the whole table in a namespace of its own: every expression that we need is then known to the kernel."""
    try:
        with _apart(), Nftables() as kernel:
            kernel.commit(table.static(ours))
    except KernelError as error:
        return _refused(
            "nftables",
            error,
            "modprobe -a nf_tables nft_chain_nat nft_nat nft_masq nft_fib_inet nft_numgen nft_reject_inet",
        )
    return Check("nftables", OK, "takes our table: nat, masquerade, fib, maps, numgen, reject", "")


def _refused(name: str, error: KernelError, mend: str) -> Check:
    if error.errno == errno.EPERM and os.geteuid() != 0:
        return Check(name, WARNING, "can only be tried by root", "look again as root")
    if error.errno == errno.EPERM:
        return Check(name, MISSING, str(error), "start the engine with CAP_SYS_ADMIN and CAP_NET_ADMIN, unfiltered")
    return Check(name, MISSING, str(error), mend)


def _forwarding(bridges: Mapping[str, bool]) -> Check:
    on = sysctl.read(sysctl.FORWARD) == "1"
    if on or not bridges:
        return Check("ip_forward", OK, "on" if on else "off; switched on with the first network", "")
    return Check("ip_forward", WARNING, "off, though there are networks", "sysctl -w net.ipv4.ip_forward=1")


def _ipv6() -> Check:
    value = sysctl.read("ipv6/conf/all/disable_ipv6")
    if not value:
        return Check("IPv6", WARNING, "this kernel has none", "boot without ipv6.disable=1 for networks with IPv6")
    found = "on" if value == "0" else "switched off; networks with IPv6 switch it on for their bridges"
    return Check("IPv6", OK, found, "")


def _tracking() -> Check:
    """Every connection to a container, and of one to the world, is tracked."""
    most, present = sysctl.read("netfilter/nf_conntrack_max"), conntrack.count()
    if not most:
        return Check("connection tracking", OK, "is loaded with our table", "")
    found = f"{present} of {most} connections"
    if present < int(most) * _FULL:
        return Check("connection tracking", OK, found, "")
    return Check("connection tracking", WARNING, found, f"sysctl -w net.netfilter.nf_conntrack_max={int(most) * 4}")


def _bridge_calls(program: str) -> Check:
    name = f"bridge-nf-call-{program}"
    value = sysctl.read(f"bridge/{name}")
    if value != "1":
        return Check(name, OK, value or "br_netfilter is not loaded", "")
    return Check(name, OK, "1: other firewalls also judge traffic within a network; our bridges are exempt", "")


def _others(ours: str, bridges: Mapping[str, bool]) -> list[Check]:
    """Tables of others that drop forwarded packets, and what we did about them."""
    try:
        with Nftables() as kernel:
            modern = firewall.look(kernel, ours, ipv6=True)
    except KernelError as error:
        return [_refused("forward drop", error, "modprobe nf_tables")]
    older = legacy.look(ours, ipv6=True)
    barriers = [*(place.barrier for place in modern.found), *(barrier for barrier, _ in older.found.values())]
    closed: dict[str, list[str]] = {str(barrier): [] for barrier in barriers}
    for bridge, ipv6 in bridges.items():
        for barrier in (*modern.closed_for(bridge, ipv6=ipv6), *older.closed_for(bridge, ipv6=ipv6)):
            closed[str(barrier)].append(bridge)
    sealed = {str(place.barrier) for place in modern.found if place.barrier.sealed}
    found = [_barrier(name, names, name in sealed) for name, names in closed.items()]
    for version in (4, 6):
        if legacy.in_use(version) and not legacy.program(version):
            mend = "install iptables (iptables-legacy), or move its rules to iptables-nft"
            found.append(Check("iptables-legacy", WARNING, "its rules are in use and cannot be seen", mend))
    return found or [Check("forward drop", OK, "no other table drops forwarded packets", "")]


def _barrier(name: str, closed: list[str], sealed: bool) -> Check:
    if sealed:
        found = f"{name} takes no rules of others; it drops {', '.join(closed) or 'what our bridges will forward'}"
        return Check("forward drop", WARNING, found, "set NftablesTableOwner=no in /etc/firewalld/firewalld.conf")
    if not closed:
        return Check("forward drop", OK, f"{name}; accept rules of ours stand there for our bridges", "")
    mend = f"accept the bridges in {name}, or `stackfile up` their stacks"
    return Check("forward drop", WARNING, f"{name} drops packets of {', '.join(closed)}", mend)
