"""What the kernel has of a network, for comparison with what it should have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """Present state of a network's parts."""

    bridge: bool
    """The bridge exists and is up."""
    addresses: tuple[str, ...]
    """Addresses of the bridge, `10.89.0.1/24`."""
    elements: bool
    """The nftables table knows the bridge and its subnets."""
    forwarding: bool
    """net.ipv4.ip_forward is on."""
    dropped_by: tuple[str, ...]
    """Others' chains that drop forwarded packets and have no accept rule of ours, `ip filter FORWARD`."""
    ports: tuple[str, ...]
    """Interfaces attached to the bridge."""

    @property
    def complete(self) -> bool:
        return self.bridge and self.elements and self.forwarding and not self.dropped_by
