"""Published ports as values: which host port leads where."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

ANY = "0.0.0.0"


@dataclass(frozen=True, slots=True, order=True)
class PortKey:
    """A port of this machine. `host_ip` "" (or 0.0.0.0) is every local IPv4 address; protocol is tcp, udp or sctp."""

    protocol: str
    host_ip: str
    host_port: int

    @property
    def version(self) -> int:
        """4 or 6: the family of the host address."""
        return ip_address(self.host_ip).version if self.host_ip else 4

    def normal(self) -> PortKey:
        """The same port with the one spelling that maps and reservations use."""
        host_ip = self.host_ip.strip("[]")
        host_ip = str(ip_address(host_ip)) if host_ip else ""
        return PortKey(self.protocol, "" if host_ip == ANY else host_ip, self.host_port)

    def __str__(self) -> str:
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip or "*"
        return f"{host}:{self.host_port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Publication:
    """A host port and what stands behind it: (container address, container port) pairs of the same family.

    Several backends share new connections in turn; none means that the port is refused.
    """

    protocol: str
    host_ip: str
    host_port: int
    backends: tuple[tuple[str, int], ...]

    @property
    def key(self) -> PortKey:
        return PortKey(self.protocol, self.host_ip, self.host_port).normal()
