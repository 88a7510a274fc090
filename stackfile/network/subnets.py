"""Choosing a subnet that nobody uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network

from stackfile.errors import ActionError

Network = IPv4Network | IPv6Network

_PREFIX = 24


def choose(pool: str, taken: Iterable[str]) -> tuple[str, str]:
    """The first (subnet, gateway) of `pool` that overlaps none of `taken` (subnets, or addresses with a prefix).

    Subnets are /24, or the whole pool where that is smaller. ActionError (`address-exhausted`).
    """
    whole = IPv4Network(pool)
    used = [network for network in map(parse, taken) if isinstance(network, IPv4Network) and network.overlaps(whole)]
    for subnet in whole.subnets(new_prefix=max(_PREFIX, whole.prefixlen)):
        if not any(subnet.overlaps(network) for network in used):
            return str(subnet), str(subnet.network_address + 1)
    raise ActionError(
        "address-exhausted",
        f"no free subnet in the address pool {pool}",
        hint="remove unused networks, give the network a subnet, or set STACKFILE_ADDRESS_POOL to a larger pool",
    )


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
