"""Choosing a subnet that nobody uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network

from stackfile.errors import ActionError

Network = IPv4Network | IPv6Network

_PREFIX = {4: 24, 6: 64}
_VARIABLES = {4: "STACKFILE_ADDRESS_POOL", 6: "STACKFILE_ADDRESS_POOL6"}


def choose(pool: str, taken: Iterable[str]) -> tuple[str, str]:
    """The first (subnet, gateway) of `pool` that overlaps none of `taken` (subnets, or addresses with a prefix).

    Subnets are /24, or /64 of an IPv6 pool; the whole pool where that is smaller. ActionError (`address-exhausted`).
    """
    whole = ip_network(pool)
    used = sorted(
        (network for network in map(parse, taken) if network.version == whole.version and network.overlaps(whole)),
        key=lambda network: int(network.network_address),
    )
    size = 1 << (whole.max_prefixlen - max(_PREFIX[whole.version], whole.prefixlen))
    start, end = int(whole.network_address), int(whole.broadcast_address) + 1
    for network in used:
        if int(network.network_address) >= start + size:
            break
        behind = int(network.broadcast_address) + 1
        start = max(start, behind + (-behind % size))
    if start + size > end:
        variable = _VARIABLES[whole.version]
        raise ActionError(
            "address-exhausted",
            f"no free subnet in the address pool {pool}",
            hint=f"remove unused networks, give the network a subnet, or set {variable} to a larger pool",
        )
    prefix = whole.max_prefixlen - (size.bit_length() - 1)
    subnet = ip_network((start, prefix))
    return str(subnet), str(subnet.network_address + 1)


def overlapping(subnet: str, taken: Sequence[str]) -> str:
    """The first of `taken` that overlaps `subnet`, "" for none."""
    wanted = parse(subnet)
    for other in taken:
        network = parse(other)
        if network.version == wanted.version and network.overlaps(wanted):
            return other
    return ""


def parse(text: str) -> Network:
    """A subnet, or the subnet of an address with a prefix."""
    return ip_interface(text).network if "/" in text else ip_network(text)


def hardware(address: str) -> str:
    """The fixed MAC of whoever has this address: 02:42 and the IPv4 address, or the end of the IPv6 one."""
    raw = ip_network(address).network_address.packed[-4:]
    return ":".join(f"{byte:02x}" for byte in b"\x02\x42" + raw)
