"""Kernel facts of a project's resources against what was applied."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_network

from stackfile.engines.embedded import mounts as mounting
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.mending import Mender
from stackfile.engines.embedded.mounts import Mounts
from stackfile.engines.embedded.namespaces import Namespaces
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.engines.embedded.volumes import Volumes
from stackfile.errors import EngineError
from stackfile.model import labels
from stackfile.model.container import NetworkRecord
from stackfile.model.observed import Drift
from stackfile.model.stack import Resources
from stackfile.network.facts import NetworkFacts
from stackfile.network.publication import PortKey

Backends = tuple[tuple[str, int], ...]

_TOLERANCE = {"memory": 4095, "memory_reservation": 4095, "nano_cpus": 10_000, "cpu_shares": 39}
"""How far the kernel may round: to pages, to microseconds of a period, to the weights of cgroup v2."""
_PROC = "/proc/sys/net"


class DriftFinder:
    """Compares limits, files, links, names, published ports, networks and volumes.

    That a container does not run its state says itself. Cheap where all is right: it is part of every plan.
    """

    def __init__(
        self,
        core: Core,
        registry: Registry,
        networks: Networks,
        ports: Ports,
        volumes: Volumes,
        mounts: Mounts,
        namespaces: Namespaces,
        mender: Mender,
    ) -> None:
        self._core = core
        self._registry = registry
        self._networks = networks
        self._ports = ports
        self._volumes = volumes
        self._mounts = mounts
        self._namespaces = namespaces
        self._mender = mender

    async def find(self, project: str) -> list[Drift]:
        """Everything of the project that is not as it was applied."""
        containers = [one for one in self._registry.all() if one.project == project and one.alive]
        found: list[Drift] = []
        published = self._core.network.published() if any(one.place.published for one in containers) else {}
        served = await self._served() if any(one.reachable for one in containers) else None
        for container in containers:
            found += self._limits(container)
            found += self._files(container)
            found += self._published(container, published)
            found += self._names(container, served)
        for network in self._networks.list(project):
            facts = self._core.network.facts(network)
            found += self.network(network, facts)
            found += self._links(network, facts)
        for volume in self._volumes.list(project):
            if not volume.anonymous and not os.path.isdir(volume.mountpoint):
                address = f"volume.{volume.labels.get(labels.VOLUME, volume.name)}"
                found.append(_fact(address, "directory", "there", "gone", volume.mountpoint))
        return found

    async def _served(self) -> set[str] | None:
        """None while the resolver is away: it will have all of its sockets again."""
        try:
            return await self._mender.served()
        except EngineError:
            return None

    def _limits(self, container: Container) -> Iterator[Drift]:
        for field, (actual, place) in self._core.cgroups.limits(container.id).items():
            expected = _expected(container.spec.resources, field)
            if expected is not None and not _same(field, expected, actual):
                yield self._of(container, field, expected, actual, place)

    def _files(self, container: Container) -> Iterator[Drift]:
        for file, path in self._mounts.changed(container):
            yield self._of(container, mounting.target(file), file.kind, "other content or mode", path)

    def _published(self, container: Container, present: Mapping[PortKey, Backends]) -> Iterator[Drift]:
        for key, backends in self._ports.expected(container).items():
            actual = present.get(key)
            if actual is None or set(actual) != set(backends):
                place = f"nftables: table {self._core.settings.nft_table}, {key}"
                yield self._of(container, "ports", _targets(backends), _targets(actual or ()), place)

    def _names(self, container: Container, served: set[str] | None) -> Iterator[Drift]:
        if served is not None and container.reachable and container.place.endpoints and container.id not in served:
            yield self._of(container, "dns", "answered", "not answered", "resolver: 127.0.0.11")

    def network(self, network: NetworkRecord, facts: NetworkFacts) -> Iterator[Drift]:
        """What the kernel has of a network, against its record."""
        address = f"network.{network.labels.get(labels.NETWORK, network.name)}"
        link = network.interface
        if not facts.bridge:
            yield _fact(address, "bridge", "up", "missing or down", f"/sys/class/net/{link}")
        elif missing := _addresses(network) - set(facts.addresses):
            yield _fact(address, "addresses", _joined(missing), "missing", f"/sys/class/net/{link}")
        if facts.bridge and not facts.loopback:
            yield _fact(address, "route_localnet", "1", "0", f"{_PROC}/ipv4/conf/{link}/route_localnet")
        if not facts.elements:
            place = f"nftables: table {self._core.settings.nft_table}, elements of {link}"
            yield _fact(address, "elements", "complete", "incomplete", place)
        if not facts.forwarding:
            yield _fact(address, "forwarding", "1", "0", f"{_PROC}/ipv4/ip_forward")
        if missing := set(facts.dropped_by) - set(facts.sealed):
            yield _fact(address, "accept_rules", "there", "missing", _joined(missing))
        if facts.sealed:
            yield _fact(address, "dropped_by", "none", "others alone may change it", _joined(facts.sealed))

    def _links(self, network: NetworkRecord, facts: NetworkFacts) -> Iterator[Drift]:
        """Containers that are not at the bridge. One by one only where their number says that some are missing."""
        members = [
            one
            for one in self._registry.all()
            if one.alive and any(endpoint.network_id == network.id for endpoint in one.place.endpoints)
        ]
        if not facts.bridge or (len(facts.ports) >= len(members) and not facts.down):
            return
        for container in members:
            for other, port in self._namespaces.ports(container):
                if other.id != network.id or port.whole:
                    continue
                actual = "down" if port.attached else "not attached" if port.name else "gone"
                place = f"/sys/class/net/{port.name or container.place.interfaces.get(network.id, '')}"
                yield self._of(container, "networks", f"attached to {network.interface}", actual, place)

    @staticmethod
    def _of(container: Container, field: str, expected: str, actual: str, place: str) -> Drift:
        return Drift(
            address=f"service.{container.service or container.name}",
            field=field,
            expected=expected,
            actual=actual,
            place=place,
            container=container.id,
        )


def _fact(address: str, field: str, expected: str, actual: str, place: str) -> Drift:
    return Drift(address=address, field=field, expected=expected, actual=actual, place=place)


def _addresses(network: NetworkRecord) -> set[str]:
    """Addresses that the bridge should have, with their prefix."""
    pairs = zip(network.gateways, network.subnets, strict=False)
    return {f"{gateway}/{ip_network(subnet).prefixlen}" for gateway, subnet in pairs}


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(sorted(texts))


def _expected(resources: Resources, field: str) -> str | None:
    """What the kernel should say of a limit; None where it follows from another one or was not asked for."""
    if field == "memory_swap":
        return None
    value = resources.cpu_time if field == "nano_cpus" else getattr(resources, field, None)
    if value is None or (field == "cpu_shares" and not value):
        return None
    return str(max(value, 0)) if isinstance(value, int) else str(value)


def _same(field: str, expected: str, actual: str) -> bool:
    if field == "cpuset":
        return _members(expected) == _members(actual)
    if expected.isdigit() and actual.isdigit():
        return abs(int(expected) - int(actual)) <= _TOLERANCE.get(field, 0)
    return expected == actual


def _members(text: str) -> set[int]:
    """`0-2,5` as numbers (cpuset(7), list format)."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def _targets(backends: Backends) -> str:
    return ", ".join(sorted(f"{address}:{port}" for address, port in backends)) or "nothing"
