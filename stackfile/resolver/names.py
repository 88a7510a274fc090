"""Looking names up in the table, as one container sees them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address

from stackfile.resolver.table import Scope, Table, Zone

_TASKS = "tasks."
_REVERSE4, _REVERSE6 = ".in-addr.arpa", ".ip6.arpa"


def addresses(table: Table, scope: Scope, name: str) -> tuple[str, ...] | None:
    """Addresses of `name` (lower case) for this container: its own hosts, then its networks in order.

    None when nobody here knows the name; empty when it is known to lie in one of the networks and has no address now.
    """
    if name in scope.hosts:
        return scope.hosts[name]
    for zone in zones(table, scope):
        found = _in_zone(zone, name)
        if found is not None:
            return found
    return None


def pointer(table: Table, scope: Scope, name: str) -> str:
    """The name behind a reverse name (`2.0.89.10.in-addr.arpa`), "" when it is none of ours."""
    address = reverse_address(name)
    for zone in zones(table, scope):
        if address and address in zone.reverse:
            return f"{zone.reverse[address]}.{zone.name}" if zone.name else zone.reverse[address]
    return ""


def zones(table: Table, scope: Scope) -> Iterator[Zone]:
    """The zones of a container's networks."""
    for network in scope.networks:
        zone = table.zones.get(network)
        if zone is not None:
            yield zone


def reverse_address(name: str) -> str:
    """The address that a reverse name stands for, "" when it is none."""
    try:
        if name.endswith(_REVERSE4):
            return str(ip_address(".".join(reversed(name.removesuffix(_REVERSE4).split(".")))))
        if name.endswith(_REVERSE6):
            digits = "".join(reversed(name.removesuffix(_REVERSE6).split(".")))
            return str(ip_address(bytes.fromhex(digits)))
    except ValueError:
        return ""
    return ""


def packed(values: tuple[str, ...], family: int) -> list[bytes]:
    """The addresses of one family, in network order."""
    colon = family == socket.AF_INET6
    return [socket.inet_pton(family, value) for value in values if (":" in value) == colon]


def _in_zone(zone: Zone, name: str) -> tuple[str, ...] | None:
    suffix = f".{zone.name}"
    inside = bool(zone.name) and name.endswith(suffix)
    for short in (name, name.removesuffix(suffix)) if inside else (name,):
        for key in (short, short.removeprefix(_TASKS)):
            if key in zone.names:
                return zone.names[key]
    # A project's network (`shop_default`) is nobody's domain: an unknown name in it need not be asked for elsewhere.
    return () if inside and "_" in zone.name else None
