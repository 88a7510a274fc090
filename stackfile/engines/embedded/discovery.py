"""Names of containers: what the resolver answers in each network."""

from __future__ import annotations

from collections.abc import Iterable

from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.model import labels
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.network.resolver_client import ResolverClient
from stackfile.resolver.table import Scope, Table, Zone


class Discovery:
    """Tells the resolver which names lead to which addresses."""

    def __init__(self, resolver: ResolverClient, registry: Registry, networks: Networks) -> None:
        self._resolver = resolver
        self._registry = registry
        self._networks = networks

    async def announce(self, container: Container) -> None:
        """The container is reachable (or has other names): its scope, and the zones of its networks."""
        await self._resolver.update(self._zones(_ids(container)), {container.id: scope(container)})

    async def withdraw(self, container: Container) -> None:
        """The container is not reachable any more."""
        await self._resolver.update(self._zones(_ids(container)), {container.id: None})

    async def refresh(self, networks: Iterable[str]) -> None:
        """Send the zones of these networks again (None for those that are gone)."""
        await self._resolver.update(self._zones(networks), {})

    async def replace(self) -> None:
        """Send everything: after a restart of this process."""
        found = self._zones(record.id for record in self._networks.list())
        zones = {identity: zone for identity, zone in found.items() if zone is not None}
        scopes = {c.id: scope(c) for c in self._registry.all() if c.reachable}
        await self._resolver.table(Table(zones=zones, scopes=scopes))

    def _zones(self, identities: Iterable[str]) -> dict[str, Zone | None]:
        records = {identity: self._networks.get(identity) for identity in identities}
        return {identity: self._zone(record) if record else None for identity, record in records.items()}

    def _zone(self, record: NetworkRecord) -> Zone | None:
        """None for one without names: nobody is there who could ask, and its network may be removed next."""
        names: dict[str, list[str]] = {}
        reverse: dict[str, str] = {}
        for container in self._registry.all():
            for endpoint in container.place.endpoints if container.reachable else ():
                if endpoint.network_id != record.id:
                    continue
                for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                    reverse[address] = container.name
                    for name in own_names(container, endpoint):
                        names.setdefault(name, []).append(address)
        if not names:
            return None
        return Zone(name=record.name, names={name: tuple(found) for name, found in names.items()}, reverse=reverse)


def own_names(container: Container, endpoint: Endpoint) -> list[str]:
    """Names that lead to a container in a network: its own, its service's (also with its project's), its aliases, its
    short id."""
    names = [container.name, container.id[:12], *endpoint.aliases]
    if container.service and container.spec.labels.get(labels.ONEOFF) != "True":
        names += [container.service, f"{container.service}.{container.project}"]
    return list(dict.fromkeys(name.lower() for name in names))


def scope(container: Container) -> Scope:
    """What the container itself may resolve."""
    return Scope(networks=tuple(_ids(container)), servers=container.spec.dns)


def _ids(container: Container) -> list[str]:
    return [endpoint.network_id for endpoint in container.place.endpoints]
