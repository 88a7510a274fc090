"""The table of names that the resolver answers from, and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """The names of one network."""

    name: str = ""
    """The network's name: `web.<network>` resolves like `web`."""
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Container names, service names (all running replicas), aliases, short ids → addresses (IPv4 and IPv6)."""
    reverse: Mapping[str, str] = field(default_factory=dict)
    """Address → the name that a PTR query gets, without the network's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one container sees."""

    networks: tuple[str, ...] = ()
    """Ids of its networks, first asked first."""
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of this container alone (extra hosts)."""
    servers: tuple[str, ...] = ()
    """Upstream servers for all other names; empty means the machine's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Everything: network id → zone, container id → scope."""

    zones: Mapping[str, Zone] = field(default_factory=dict)
    scopes: Mapping[str, Scope] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """The table as JSON values."""
        return {
            "zones": {key: asdict(zone) for key, zone in self.zones.items()},
            "scopes": {key: asdict(scope) for key, scope in self.scopes.items()},
        }

    @staticmethod
    def from_plain(data: Mapping[str, Any]) -> Table:
        """The inverse of `to_plain`."""
        return Table(
            zones={key: _zone(zone) for key, zone in data.get("zones", {}).items()},
            scopes={key: _scope(scope) for key, scope in data.get("scopes", {}).items()},
        )

    def changed(self, zones: Mapping[str, Any], scopes: Mapping[str, Any]) -> Table:
        """This table with some zones and scopes (JSON values) in place of its own; None takes one away."""
        new_zones = {**self.zones, **{key: _zone(zone) for key, zone in zones.items() if zone is not None}}
        new_scopes = {**self.scopes, **{key: _scope(scope) for key, scope in scopes.items() if scope is not None}}
        return Table(
            zones={key: zone for key, zone in new_zones.items() if zones.get(key, zone) is not None},
            scopes={key: scope for key, scope in new_scopes.items() if scopes.get(key, scope) is not None},
        )


def _zone(data: Mapping[str, Any]) -> Zone:
    names = {name.lower(): tuple(addresses) for name, addresses in data.get("names", {}).items()}
    return Zone(name=data.get("name", ""), names=names, reverse=dict(data.get("reverse", {})))


def _scope(data: Mapping[str, Any]) -> Scope:
    hosts = {name.lower(): tuple(addresses) for name, addresses in data.get("hosts", {}).items()}
    return Scope(
        networks=tuple(data.get("networks", ())), hosts=hosts, servers=tuple(data.get("servers", ())),
    )  # fmt: skip
