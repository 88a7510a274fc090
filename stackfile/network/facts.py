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
    """The nftables table knows the bridge, its subnets and whether it is internal."""
    forwarding: bool
    """net.ipv4.ip_forward is on, and for a network with IPv6 net.ipv6.conf.all.forwarding."""
    dropped_by: tuple[str, ...]
    """Others' chains that drop forwarded packets and have no accept rule of ours, `ip filter FORWARD`."""
    ports: tuple[str, ...]
    """Interfaces attached to the bridge."""
    down: tuple[str, ...] = ()
    """Those of them that are not up."""
    loopback: bool = True
    """The bridge takes packets of 127/8 (route_localnet), which published ports at the loopback address need."""
    sealed: tuple[str, ...] = ()
    """Those of `dropped_by` that take no rule of ours: the table belongs to another process alone."""

    @property
    def complete(self) -> bool:
        return self.bridge and self.elements and self.forwarding and not self.dropped_by
