"""Kernel facts of a project's resources against what was applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.model import labels
from stackfile.model.container import NetworkRecord
from stackfile.model.observed import Drift
from stackfile.model.stack import Resources
from stackfile.network.publication import PortKey

Backends = tuple[tuple[str, int], ...]

_TOLERANCE = {"memory": 4095, "memory_reservation": 4095, "nano_cpus": 10_000, "cpu_shares": 39}
"""How far the kernel may round: to pages, to microseconds of a period, to the weights of cgroup v2."""


class DriftFinder:
    """Compares limits, published ports and networks; that a container does not run its state says itself."""

    def __init__(self, core: Core, registry: Registry, networks: Networks, ports: Ports) -> None:
        self._core = core
        self._registry = registry
        self._networks = networks
        self._ports = ports

    def find(self, project: str) -> list[Drift]:
        """Everything of the project that is not as it was applied."""
        found: list[Drift] = []
        present = self._core.network.published()
        for container in self._registry.all():
            if container.project == project and container.alive:
                found += self._limits(container)
                found += self._published(container, present)
        for network in self._networks.list(project):
            found += self._network(network)
        return found

    def _limits(self, container: Container) -> Iterator[Drift]:
        for field, (actual, place) in self._core.cgroups.limits(container.id).items():
            expected = _expected(container.spec.resources, field)
            if expected is not None and not _same(field, expected, actual):
                yield self._of(container, field, expected, actual, place)

    def _published(self, container: Container, present: Mapping[PortKey, Backends]) -> Iterator[Drift]:
        for key, backends in self._ports.expected(container).items():
            actual = present.get(key)
            if actual is None or set(actual) != set(backends):
                yield self._of(container, "ports", _targets(backends), _targets(actual or ()), f"nftables: {key}")

    def _network(self, network: NetworkRecord) -> Iterator[Drift]:
        facts = self._core.network.facts(network)
        address = f"network.{network.labels.get(labels.NETWORK, network.name)}"
        checks = {
            "bridge": (facts.bridge, network.interface),
            "elements": (facts.elements, f"nftables: table {self._core.settings.nft_table}"),
            "forwarding": (facts.forwarding, "/proc/sys/net/ipv4/ip_forward"),
            "dropped_by": (not facts.dropped_by, ", ".join(facts.dropped_by)),
        }
        for field, (good, place) in checks.items():
            if not good:
                yield Drift(address=address, field=field, expected="as applied", actual="changed", place=place)

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


def _expected(resources: Resources, field: str) -> str | None:
    """What the kernel should say of a limit; None where it follows from another one or was not asked for."""
    if field == "memory_swap":
        return None
    value = getattr(resources, field, None)
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
