"""Published ports: reserved for a service or container, led to those of its replicas that may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.errors import ActionError
from stackfile.model import labels
from stackfile.model.container import Endpoint, PublishedPort
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Port
from stackfile.network.manager import NetworkManager
from stackfile.network.publication import ANY, Backends, PortKey, Publication, of_version
from stackfile.network.reservation import holder_key
from stackfile.network.resolver_client import ResolverClient
from stackfile.store.rows import PortRow
from stackfile.store.run import RunStore


@dataclass(slots=True)
class _Reservation:
    """A host port: who has it, and the containers that stand behind it with their own port."""

    owner: str
    targets: dict[str, int] = field(default_factory=dict)
    only4: bool = False
    """It was asked for at 0.0.0.0: as in Docker, IPv6 is not meant then (the port is kept free there all the same)."""


class Ports:
    """The host ports of all containers."""

    def __init__(
        self, manager: NetworkManager, run: RunStore, registry: Registry, networks: Networks, resolver: ResolverClient
    ) -> None:
        self._networks = networks
        self._resolver = resolver
        self._manager = manager
        self._run = run
        self._registry = registry
        self._reservations: dict[PortKey, _Reservation] = {}

    def acquire(self, container: Container, image: ImageConfig) -> tuple[PublishedPort, ...]:
        """Reserve the container's ports. Raises ActionError (`port-taken`) having reserved none."""
        try:
            return tuple([self._reserve(container, port) for port in wanted(container, image)])
        except BaseException:
            self.release(container)
            raise

    def adopt(self, container: Container) -> None:
        """Take over what a running container had before this process."""
        for port in container.place.published:
            owner = self._owner(container, port.published, port.target, port.protocol)
            key = PortKey(port.protocol, port.host_ip, port.published).normal()
            self._manager.reserve(owner, key.protocol, key.host_ip, key.host_port)
            self._note(key, owner, container, port.target, _meant_for_ipv4(container, port))

    def release(self, container: Container) -> None:
        """Give back the container's ports; one that other replicas share stays with them."""
        gone: list[PortKey] = []
        for key, reservation in list(self._reservations.items()):
            if reservation.targets.pop(container.id, None) is None:
                continue
            if reservation.targets:
                self._publish({key: reservation})
                continue
            gone.append(key)
            self._resolver.relay({holder_key(reservation.owner, key): None})
            del self._reservations[key]
        if gone:
            self._manager.unpublish(gone)
        for key in gone:
            self._give_back(key)

    def refresh(self, container: Container) -> None:
        """Lead the container's ports to those of their replicas that run and, with a health check, are healthy."""
        self._publish({key: held for key, held in self._reservations.items() if container.id in held.targets})

    async def settled(self, container: Container) -> None:
        """Wait until the container's ports lead where `refresh` wants them to, the relay's too."""
        if container.place.published:
            await self._resolver.relayed()

    def expected(self, container: Container) -> dict[PortKey, Backends]:
        """The container's host ports with what the kernel should have behind them now.

        A port that only the relay serves (`[::1]`) is none of the kernel's.
        """
        found: dict[PortKey, Backends] = {}
        for key, reservation in self._reservations.items():
            if container.id in reservation.targets:
                for slot, backends in self._publication(key, reservation).slots.items():
                    found[slot.key] = found.get(slot.key, ()) + backends
        return found

    def release_unknown(self) -> None:
        """Give back reservations and forget published ports that no container of ours has (after a crash)."""
        self.forget(*self.unknown())
        self._resolver.settle_relays()

    def unknown(self) -> tuple[list[PortKey], list[tuple[str, PortKey]]]:
        """Host ports that the kernel leads somewhere, and (owner, port) that are reserved, which no container has."""
        published = [key for key in self._manager.published() if key.normal() not in self._reservations]
        rows = [(row.owner, PortKey(row.protocol, row.host_ip, row.host_port)) for row in self._run.list_ports()]
        reserved = dict.fromkeys((owner, key.normal()) for owner, key in [*rows, *self._manager.reservations()])
        return published, [pair for pair in reserved if pair[1] not in self._reservations]

    def forget(self, published: Sequence[PortKey], reserved: Sequence[tuple[str, PortKey]]) -> None:
        """Give back what `unknown` found."""
        if published:
            self._manager.unpublish(published)
        for owner, key in reserved:
            self._manager.unreserve(owner, key.protocol, key.host_ip, key.host_port)
            self._run.delete_port(key.protocol, key.host_ip, key.host_port)

    # ---- inside

    def _publish(self, ports: Mapping[PortKey, _Reservation]) -> None:
        """Lead these ports to their backends: by translation, and by the relay what that cannot do."""
        if not ports:
            return
        entries = {key: self._publication(key, reservation) for key, reservation in ports.items()}
        self._manager.publish(list(entries.values()))
        relayed: dict[str, tuple[str, Backends] | None] = {}
        for key, entry in entries.items():
            if entry.relayed is not None:
                backends = self._outward(key, ports[key])
                relayed[holder_key(ports[key].owner, key)] = (key.protocol, backends)
        if relayed:
            self._resolver.relay(relayed)

    def _reserve(self, container: Container, port: Port) -> PublishedPort:
        owner = self._owner(container, port.published, port.target, port.protocol, port.mode)
        number = self._choose(container, owner, port)
        key = PortKey(port.protocol, port.host_ip, number).normal()
        self._run.put_port(PortRow(owner, key.protocol, key.host_ip, key.host_port))
        self._note(key, owner, container, port.target, port.host_ip == ANY)
        return PublishedPort(
            target=port.target, published=number, host_ip=port.host_ip or "0.0.0.0", protocol=port.protocol
        )

    def _choose(self, container: Container, owner: str, port: Port) -> int:
        """Reserve the port, or one of its range: the one that the container had before, else the first free."""
        if not port.published_last:
            return self._manager.reserve(owner, port.protocol, port.host_ip, port.published)
        whole = range(port.published, port.published_last + 1)
        before = [
            one.published
            for one in container.place.published
            if (one.target, one.protocol) == (port.target, port.protocol) and one.published in whole
        ]
        own = {key.host_port for key, held in self._reservations.items() if container.id in held.targets}
        for number in (*before, *whole):
            try:
                if number not in own:
                    return self._manager.reserve(owner, port.protocol, port.host_ip, number)
            except ActionError as error:
                if error.reason != "port-taken":
                    raise
        raise ActionError("port-taken", f"no port from {whole[0]} to {whole[-1]} is free", cause="all are in use")

    def _note(self, key: PortKey, owner: str, container: Container, target: int, only4: bool) -> None:
        self._reservations.setdefault(key, _Reservation(owner, only4=only4)).targets[container.id] = target

    def _give_back(self, key: PortKey) -> None:
        for owner, held in self._manager.reservations():
            if held.normal() == key:
                self._manager.unreserve(owner, key.protocol, key.host_ip, key.host_port)
        self._run.delete_port(key.protocol, key.host_ip, key.host_port)

    def _owner(self, container: Container, published: int, target: int, protocol: str, mode: str = "ingress") -> str:
        """A fixed port is shared by the replicas of a service; everything else is the container's own."""
        asked = next((p for p in container.spec.ports if p.target == target and p.protocol == protocol), None)
        fixed = published and (asked is None or (asked.published == published and not asked.published_last))
        one_off = container.spec.labels.get(labels.ONEOFF) == "True"
        if fixed and mode == "ingress" and container.project and container.service and not one_off:
            return f"{container.project}/{container.service}"
        return container.id

    def _publication(self, key: PortKey, reservation: _Reservation) -> Publication:
        backends = tuple(
            (address, target)
            for container, target in self._askable(reservation)
            for address in _addresses(self._place(container))
        )
        if reservation.only4:
            backends = of_version(backends, 4)
        return Publication(key.protocol, key.host_ip, key.host_port, backends)

    def _outward(self, key: PortKey, reservation: _Reservation) -> Backends:
        """Backends for the relay, whose connections come from the machine: none in an internal network."""
        backends: list[tuple[str, int]] = []
        for container, target in () if reservation.only4 else self._askable(reservation):
            endpoint = self._place(container)
            network = self._networks.get(endpoint.network_id) if endpoint else None
            if network is not None and not network.internal:
                backends += [(address, target) for address in _addresses(endpoint)]
        return Publication(key.protocol, key.host_ip, key.host_port, tuple(backends)).relayed or ()

    def _askable(self, reservation: _Reservation) -> Iterable[tuple[Container, int]]:
        """Containers behind a port that may get requests, each with its own port."""
        for identity, target in reservation.targets.items():
            container = self._registry.get(identity)
            if container is not None and _is_askable(container):
                yield container, target

    def _place(self, container: Container) -> Endpoint | None:
        """Where requests go to: its first network that others reach, else the first."""
        places = container.place.endpoints
        for endpoint in places:
            network = self._networks.get(endpoint.network_id)
            if network is not None and not network.internal:
                return endpoint
        return places[0] if places else None


def wanted(container: Container, image: ImageConfig) -> Iterable[Port]:
    """Ports of the spec; with `publish_all` those that the image and the spec expose too, at ports of our choice."""
    spec = container.spec
    if spec.network_mode in ("host", "none") or spec.network_mode.startswith("container:"):
        return
    yield from spec.ports
    if not spec.publish_all:
        return
    named = {(port.target, port.protocol) for port in spec.ports}
    for text in (*image.exposed_ports, *spec.expose):
        number, _, protocol = text.partition("/")
        found = (int(number) if number.isdigit() else 0, protocol or "tcp")
        if found[0] and found not in named:
            named.add(found)
            yield Port(target=found[0], protocol=found[1])


def _meant_for_ipv4(container: Container, port: PublishedPort) -> bool:
    """Whether a port that is published was asked for at 0.0.0.0 and not without an address."""
    asked = [one for one in container.spec.ports if (one.target, one.protocol) == (port.target, port.protocol)]
    named = [one for one in asked if one.published <= port.published <= max(one.published, one.published_last)]
    return any(one.host_ip == ANY for one in named or asked)


def _is_askable(container: Container) -> bool:
    """It runs, is connected and, with a health check, healthy."""
    waiting = container.state.health.status in ("starting", "unhealthy")
    return container.reachable and container.state.status == "running" and not waiting


def _addresses(endpoint: Endpoint | None) -> list[str]:
    return [address for address in (endpoint.ipv4, endpoint.ipv6) if address] if endpoint else []
