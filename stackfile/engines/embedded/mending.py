"""Putting right what somebody changed behind our back: links, names, files, rules. Every step is idempotent."""

from __future__ import annotations

import os

from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.discovery import Discovery
from stackfile.engines.embedded.mounts import Mounts
from stackfile.engines.embedded.namespaces import Namespaces
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import Container, Registry


class Mender:
    """Repairs what `DriftFinder` finds. The caller holds the container's lock where one is given."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        networks: Networks,
        namespaces: Namespaces,
        discovery: Discovery,
        ports: Ports,
        mounts: Mounts,
    ) -> None:
        self._core = core
        self._registry = registry
        self._networks = networks
        self._namespaces = namespaces
        self._discovery = discovery
        self._ports = ports
        self._mounts = mounts

    async def container(self, container: Container) -> None:
        """Everything of a running container that costs nothing when it is right."""
        self._mounts.restore(container)
        self._links(container)
        if container.reachable and container.id not in await self.served():
            await self._names(container)

    async def served(self) -> set[str]:
        """Containers whose questions the resolver answers."""
        return set((await self._core.resolver.status())["served"])

    async def network(self, ref: str) -> None:
        """Bridge, rules and settings of a network; with the table everybody's elements and ports are back.

        The containers keep running, and their connections where the kernel kept them.
        """
        wanted = self._networks.find(ref)
        self._networks.mend(wanted)
        for record in self._networks.list():
            if record.id != wanted.id and not self._core.network.facts(record).elements:
                self._networks.mend(record)
        for container in self._registry.all():
            if not container.alive:
                continue
            if any(endpoint.network_id == wanted.id for endpoint in container.place.endpoints):
                self._links(container)
            if container.place.published:
                self._ports.refresh(container)
        await self._discovery.refresh([wanted.id])

    # ---- inside

    def _links(self, container: Container) -> None:
        if any(not facts.whole for _, facts in self._namespaces.ports(container)):
            self._namespaces.reconnect(container)

    async def _names(self, container: Container) -> None:
        descriptor = os.open(f"/proc/{container.state.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            await self._namespaces.serve_names(container, descriptor)
        finally:
            os.close(descriptor)
        await self._discovery.announce(container)
