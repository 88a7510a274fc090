"""Options of a network's driver (`driver_opts`), by Docker's names. What no name fits is left alone, as Docker does."""

from __future__ import annotations

import re

from stackfile.errors import ActionError
from stackfile.model.container import NetworkRecord

BRIDGE = "com.docker.network.bridge.name"
MTU = "com.docker.network.driver.mtu"

_NAME = re.compile(r"[^\s/:]{1,15}")
_SMALLEST4, _SMALLEST6, _LARGEST = 68, 1280, 65535


def check(network: NetworkRecord) -> None:
    """Raises ActionError (`bad-request`) for a value that the kernel would not take."""
    name = network.options.get(BRIDGE, "")
    if name and (not _NAME.fullmatch(name) or name in (".", "..")):
        raise _bad(network, BRIDGE, "a name of interfaces has at most 15 bytes, without blanks, colons and slashes")
    size = network.options.get(MTU, "")
    smallest = _SMALLEST6 if any(":" in subnet for subnet in network.subnets) else _SMALLEST4
    if size and not (size.isdigit() and (int(size) == 0 or smallest <= int(size) <= _LARGEST)):
        raise _bad(network, MTU, f"packets have {smallest} to {_LARGEST} bytes")


def bridge(network: NetworkRecord, prefix: str) -> str:
    """Name of the network's bridge: as the options say, else from the id."""
    return network.options.get(BRIDGE) or prefix + network.id[:10]


def mtu(network: NetworkRecord) -> int:
    """Size of packets in bytes, 0 for the kernel's default."""
    return int(network.options.get(MTU) or 0)


def _bad(network: NetworkRecord, option: str, why: str) -> ActionError:
    value = network.options[option]
    return ActionError("bad-request", f"network {network.name}: {option} {value!r}", cause=why)
