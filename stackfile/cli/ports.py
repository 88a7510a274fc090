"""Published ports as docker run -p writes them."""

from __future__ import annotations

from stackfile.errors import UsageError
from stackfile.model.stack import Port


def parse_port(text: str) -> tuple[Port, ...]:
    """`[IP:][PORT[-PORT]:]PORT[-PORT][/PROTOCOL]`, one Port for each of a range. Raises UsageError."""
    rest, _, protocol = text.partition("/")
    protocol = protocol or "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise UsageError("usage", f"--publish: unknown protocol {protocol!r} in {text!r}")
    head, _, target = rest.rpartition(":")
    host_ip, published = _host(head)
    first, last = _range(target, text)
    if not published:
        return tuple(
            Port(target=number, host_ip=host_ip, protocol=protocol, mode="host") for number in range(first, last + 1)
        )
    low, high = _range(published, text)
    if first == last and high > low:
        end = Port(target=first, published=low, published_last=high, host_ip=host_ip, protocol=protocol, mode="host")
        return (end,)
    if high - low != last - first:
        raise UsageError("usage", f"--publish: the ranges of {text!r} differ in length")
    return tuple(
        Port(target=first + offset, published=low + offset, host_ip=host_ip, protocol=protocol, mode="host")
        for offset in range(last - first + 1)
    )


def _host(head: str) -> tuple[str, str]:
    """(address, published ports) of what stands before the container's port."""
    if head.startswith("["):
        address, _, published = head[1:].partition("]")
        return address, published.removeprefix(":")
    address, colon, published = head.rpartition(":")
    if not colon and "." in published:
        return published, ""
    return address, published


def _range(text: str, whole: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not first.isdigit() or (dash and not last.isdigit()):
        raise UsageError("usage", f"--publish: {text!r} in {whole!r} is no port")
    low, high = int(first), int(last or first)
    if not 0 < low <= high <= 65535:
        raise UsageError("usage", f"--publish: {text!r} in {whole!r} is no port")
    return low, high
