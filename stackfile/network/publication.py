"""Published ports as values: which host port leads where."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

ANY, ANY6 = "0.0.0.0", "::"
LOOPBACK6 = "::1"
RELAYED = ("tcp", "udp")
"""Protocols that the relay knows."""

Backends = tuple[tuple[str, int], ...]
"""(container address, container port) pairs."""


@dataclass(frozen=True, slots=True, order=True)
class PortKey:
    """A port of this machine. `host_ip` "" (or 0.0.0.0) is every local address of both families, `::` every IPv6 one.

    protocol is tcp, udp or sctp.
    """

    protocol: str
    host_ip: str
    host_port: int

    @property
    def versions(self) -> tuple[int, ...]:
        """The families of the host address: 4, 6 or both."""
        if not self.host_ip or self.host_ip == ANY:
            return (4, 6)
        return (ip_address(self.host_ip).version,)

    def normal(self) -> PortKey:
        """The same port with the one spelling that maps and reservations use."""
        host_ip = self.host_ip.strip("[]")
        host_ip = str(ip_address(host_ip)) if host_ip else ""
        return PortKey(self.protocol, "" if host_ip == ANY else host_ip, self.host_port)

    def overlaps(self, other: PortKey) -> bool:
        """Whether both cannot be had at once: the same port at addresses of which one includes the other."""
        if (self.protocol, self.host_port) != (other.protocol, other.host_port):
            return False
        common = set(self.versions) & set(other.versions)
        everywhere = {"", ANY, ANY6}
        return bool(common) and (self.host_ip == other.host_ip or bool({self.host_ip, other.host_ip} & everywhere))

    def __str__(self) -> str:
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip or "*"
        return f"{host}:{self.host_port}/{self.protocol}"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """A published port in one family, as nftables translates it."""

    key: PortKey
    version: int

    @property
    def host_ip(self) -> str:
        """The one address it stands for, "" for all of the family."""
        return "" if self.key.host_ip in ("", ANY6) else self.key.host_ip


@dataclass(frozen=True, slots=True)
class Publication:
    """A host port and what stands behind it: (container address, container port) pairs, of one family or both.

    Several backends of a family share its new connections in turn; none at all means that the port is refused.
    """

    protocol: str
    host_ip: str
    host_port: int
    backends: Backends

    @property
    def key(self) -> PortKey:
        return PortKey(self.protocol, self.host_ip, self.host_port).normal()

    @property
    def slots(self) -> dict[Slot, Backends]:
        """What nftables translates, by family; without backends: what it refuses.

        Left to the relay is what no translation can do: from IPv6 to containers with IPv4 alone, and `[::1]`.
        """
        key = self.key
        if key.host_ip == LOOPBACK6:
            return {}
        found = {Slot(key, version): of_version(self.backends, version) for version in key.versions}
        relayed = {slot for slot, backends in found.items() if slot.version == 6 and not backends and self.backends}
        return {slot: backends for slot, backends in found.items() if slot not in relayed}

    @property
    def relayed(self) -> Backends | None:
        """Where the relay leads what comes over IPv6 and is not translated; None where it has nothing to do."""
        if self.protocol not in RELAYED or 6 not in self.key.versions:
            return None
        return of_version(self.backends, 4) or of_version(self.backends, 6)


def of_version(backends: Backends, version: int) -> Backends:
    """The backends of one family."""
    return tuple(backend for backend in backends if (":" in backend[0]) == (version == 6))
