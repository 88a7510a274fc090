"""Where a registry answers, and whether it may do so without TLS."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass

_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Policy:
    """Which hosts may be spoken to without TLS (`host` or `host:port`; loopback ones always), and the CA file.

    `ca` is the path of a PEM file; "" means the machine's certificates.
    """

    insecure: Collection[str] = ()
    ca: str = ""

    def allows_http(self, host: str) -> bool:
        """`host` may have a port."""
        name = hostname(host)
        return host in self.insecure or name in self.insecure or is_loopback(name)


def policy(insecure: str, ca: str) -> Policy:
    """From the texts of the settings: names separated by commas or blanks, a path."""
    return Policy(tuple(insecure.replace(",", " ").split()), ca)


def host_of(domain: str) -> str:
    """The host (and port) that serves the registry of a reference's domain."""
    return _HUB_HOST if domain == _HUB else domain


def hostname(host: str) -> str:
    """`host` without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def is_loopback(name: str) -> bool:
    """localhost, 127.0.0.0/8, ::1."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
