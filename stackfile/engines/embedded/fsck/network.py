"""Networks, published ports and what else of running containers is not as it was applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.drift import DriftFinder
from stackfile.engines.embedded.fsck.problem import Problem, Repair, at_once
from stackfile.engines.embedded.mending import Mender
from stackfile.engines.embedded.namespaces import Namespaces
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.engines.embedded.stock import Stock
from stackfile.model.container import NetworkRecord
from stackfile.model.observed import Drift

_OTHERS = ("dropped_by",)
"""What nobody but its owner may change: told by `drift` and `doctor`."""


class NetworkFaults:
    """Uses what finds and mends drift; adds what belongs to no network and no container."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        networks: Networks,
        ports: Ports,
        namespaces: Namespaces,
        stock: Stock,
        drift: DriftFinder,
        mender: Mender,
        busy: Callable[[], set[str]],
    ) -> None:
        """`busy` answers ids of containers and build steps that are coming or going."""
        self._core = core
        self._registry = registry
        self._networks = networks
        self._ports = ports
        self._namespaces = namespaces
        self._stock = stock
        self._drift = drift
        self._mender = mender
        self._busy = busy

    async def look(self) -> list[Problem]:
        found = [problem for network in self._networks.list() for problem in self._network(network)]
        found += self._strays()
        found += self._unknown_ports()
        return found + await self._containers()

    def _network(self, network: NetworkRecord) -> Iterator[Problem]:
        for drift in self._drift.network(network, self._core.network.facts(network)):
            if drift.field not in _OTHERS:
                yield _problem(drift, f"network {network.name}", self._mend_network(network))

    def _mend_network(self, network: NetworkRecord) -> Repair:
        async def repair() -> None:
            await self._mender.network(network.id)

        return repair

    def _strays(self) -> Iterator[Problem]:
        reasons = {"link": "link-unknown", "element": "element-unknown"}
        for stray in self._core.network.strays(self._networks.list(), self._links()):
            subject = f"{stray.kind} {stray.name}"
            yield Problem(
                reasons[stray.kind], subject, "of no network or container", "it is removed", at_once(stray.remove)
            )

    def _links(self) -> set[str]:
        """The machine's ends of all pairs; of what comes and goes any could be one."""
        if self._busy():
            return set(self._core.network.links())
        alive = [container for container in self._registry.all() if container.alive]
        ends = {facts.name for container in alive for _, facts in self._namespaces.ports(container)}
        return ends | self._stock.links

    def _unknown_ports(self) -> Iterator[Problem]:
        published, reserved = self._ports.unknown()
        for key in published:
            forget = at_once(self._ports.forget, [key], [])
            yield Problem("port-unknown", f"port {key}", "leads somewhere for no container", "it is closed", forget)
        for owner, key in reserved:
            forget = at_once(self._ports.forget, [], [(owner, key)])
            yield Problem(
                "reservation-unknown", f"port {key}", f"reserved for {owner[:40]}", "it is given back", forget
            )

    async def _containers(self) -> list[Problem]:
        found = []
        for project in sorted({container.project for container in self._registry.all() if container.alive}):
            for drift in await self._drift.find(project):
                container = self._registry.get(drift.container)
                if container is not None and container.id not in self._busy():
                    subject = f"container {container.name}"
                    found.append(_problem(drift, subject, self._mend_container(container)))
        return found

    def _mend_container(self, container: Container) -> Repair:
        async def repair() -> None:
            async with container.turn("repair"):
                if container.alive:
                    self._core.cgroups.update(container.id, container.spec.resources)
                    await self._mender.container(container)
                    self._ports.refresh(container)

        return repair


def _problem(drift: Drift, subject: str, repair: Repair) -> Problem:
    found = f"{drift.actual} instead of {drift.expected} ({drift.place})"
    return Problem("drift", f"{subject}, {drift.field}", found, "it is put right", repair)
