"""What this machine offers to our networks, and what stands in their way."""

from __future__ import annotations

import os
from typing import NamedTuple

from stackfile.errors import KernelError
from stackfile.kernel.namespace import fresh
from stackfile.kernel.nftables import Nftables
from stackfile.network import firewall, legacy, sysctl, table

OK, WARNING, MISSING = "ok", "warning", "missing"


class Check(NamedTuple):
    """One line of `system doctor`. status: ok, warning, missing."""

    name: str
    status: str
    found: str
    mend: str


def checks(kernel: Nftables, ours: str, bridges: list[str]) -> list[Check]:
    """All checks, for the namespace of the calling thread. `bridges` are our own; `ours` is our table."""
    machine = [_namespaces(), _nftables(ours), _forwarding(bridges), _ipv6(), _bridge_calls()]
    return [*machine, *_firewalls(kernel, ours, bridges)]


def _namespaces() -> Check:
    try:
        with fresh() as fd:
            os.close(fd)
    except KernelError as error:
        return Check("network namespaces", MISSING, str(error), "run as root on a kernel with CONFIG_NET_NS")
    return Check("network namespaces", OK, "can be made", "")


def _nftables(ours: str) -> Check:
    """Load the whole table in a namespace of its own: every expression that we need is then known to the kernel."""
    try:
        with fresh() as fd:
            os.close(fd)
            with Nftables() as kernel:
                kernel.commit(table.static(ours))
    except KernelError as error:
        return Check("nftables", MISSING, str(error), "load nf_tables, nft_nat, nft_masq, nft_fib_inet, nft_numgen")
    return Check("nftables", OK, "takes our table", "")


def _forwarding(bridges: list[str]) -> Check:
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


def _bridge_calls() -> Check:
    value = sysctl.read("bridge/bridge-nf-call-iptables")
    if value != "1":
        return Check("bridge-nf-call-iptables", OK, value or "br_netfilter is not loaded", "")
    found = "1: other firewalls also judge traffic within a network; accept rules of ours stand beside their drops"
    return Check("bridge-nf-call-iptables", OK, found, "")


def _firewalls(kernel: Nftables, ours: str, bridges: list[str]) -> list[Check]:
    closed: dict[str, list[str]] = {str(barrier): [] for barrier in firewall.barriers(kernel, ours, ipv6=False)}
    for bridge in bridges:
        dropped = [*firewall.closed_for(kernel, ours, bridge, ipv6=False), *legacy.closed_for(ours, bridge, ipv6=False)]
        for barrier in dropped:
            closed.setdefault(str(barrier), []).append(bridge)
    found = [_barrier(name, names) for name, names in closed.items()]
    if legacy.in_use(4) and not legacy.program(4):
        mend = "install iptables (iptables-legacy), or move its rules to iptables-nft"
        found.append(Check("iptables-legacy", WARNING, "its rules are in use and cannot be seen", mend))
    return found or [Check("forward drop", OK, "no other table drops forwarded packets", "")]


def _barrier(name: str, closed: list[str]) -> Check:
    if not closed:
        return Check("forward drop", OK, f"{name}; our bridges have accept rules there", "")
    mend = f"accept the bridges in {name}, or recreate the networks"
    return Check("forward drop", WARNING, f"{name} drops packets of {', '.join(closed)}", mend)
