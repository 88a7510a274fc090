"""Published ports: reserved for a service or container, led to those of its replicas that may be asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stackfile.engines.embedded.registry import Container, Registry
from stackfile.model import labels
from stackfile.model.container import PublishedPort
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Port
from stackfile.network.manager import NetworkManager
from stackfile.network.publication import PortKey, Publication
from stackfile.store.rows import PortRow
from stackfile.store.run import RunStore


@dataclass(slots=True)
class _Reservation:
    """A host port: who has it, and the containers that stand behind it with their own port."""

    owner: str
    targets: dict[str, int] = field(default_factory=dict)


class Ports:
    """The host ports of all containers."""

    def __init__(self, manager: NetworkManager, run: RunStore, registry: Registry) -> None:
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
            self._note(key, owner, container, port.target)

    def release(self, container: Container) -> None:
        """Give back the container's ports; one that other replicas share stays with them."""
        gone: list[PortKey] = []
        for key, reservation in list(self._reservations.items()):
            if reservation.targets.pop(container.id, None) is None:
                continue
            if reservation.targets:
                self._manager.publish([self._publication(key, reservation)])
                continue
            gone.append(key)
            del self._reservations[key]
        if gone:
            self._manager.unpublish(gone)
        for key in gone:
            self._give_back(key)

    def refresh(self, container: Container) -> None:
        """Lead the container's ports to those of their replicas that run and, with a health check, are healthy."""
        entries = [
            self._publication(key, reservation)
            for key, reservation in self._reservations.items()
            if container.id in reservation.targets
        ]
        if entries:
            self._manager.publish(entries)

    def expected(self, container: Container) -> dict[PortKey, tuple[tuple[str, int], ...]]:
        """The container's host ports with what should stand behind them now."""
        return {
            key: self._publication(key, reservation).backends
            for key, reservation in self._reservations.items()
            if container.id in reservation.targets
        }

    def release_unknown(self) -> None:
        """Give back reservations and forget published ports that no container of ours has (after a crash)."""
        strangers = [key for key in self._manager.published() if key.normal() not in self._reservations]
        if strangers:
            self._manager.unpublish(strangers)
        for owner, key in self._manager.reservations():
            if key.normal() not in self._reservations:
                self._manager.unreserve(owner, key.protocol, key.host_ip, key.host_port)
                self._run.delete_port(key.protocol, key.host_ip, key.host_port)

    # ---- inside

    def _reserve(self, container: Container, port: Port) -> PublishedPort:
        owner = self._owner(container, port.published, port.target, port.protocol, port.mode)
        number = self._manager.reserve(owner, port.protocol, port.host_ip, port.published)
        key = PortKey(port.protocol, port.host_ip, number).normal()
        self._run.put_port(PortRow(owner, key.protocol, key.host_ip, key.host_port))
        self._note(key, owner, container, port.target)
        return PublishedPort(
            target=port.target, published=number, host_ip=port.host_ip or "0.0.0.0", protocol=port.protocol
        )

    def _note(self, key: PortKey, owner: str, container: Container, target: int) -> None:
        self._reservations.setdefault(key, _Reservation(owner)).targets[container.id] = target

    def _give_back(self, key: PortKey) -> None:
        for owner, held in self._manager.reservations():
            if held.normal() == key:
                self._manager.unreserve(owner, key.protocol, key.host_ip, key.host_port)
        self._run.delete_port(key.protocol, key.host_ip, key.host_port)

    def _owner(self, container: Container, published: int, target: int, protocol: str, mode: str = "ingress") -> str:
        """A fixed port is shared by the replicas of a service; everything else is the container's own."""
        asked = next((p for p in container.spec.ports if p.target == target and p.protocol == protocol), None)
        fixed = published and (asked is None or asked.published == published)
        one_off = container.spec.labels.get(labels.ONEOFF) == "True"
        if fixed and mode == "ingress" and container.project and container.service and not one_off:
            return f"{container.project}/{container.service}"
        return container.id

    def _publication(self, key: PortKey, reservation: _Reservation) -> Publication:
        backends: list[tuple[str, int]] = []
        for identity, target in reservation.targets.items():
            container = self._registry.get(identity)
            address = _address(container) if container is not None else ""
            if address:
                backends.append((address, target))
        return Publication(key.protocol, key.host_ip, key.host_port, tuple(backends))


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


def _address(container: Container) -> str:
    """Where requests to a container go; "" while it should get none."""
    if (
        not container.reachable
        or container.state.status != "running"
        or container.state.health.status in ("starting", "unhealthy")
    ):
        return ""
    return next((endpoint.ipv4 for endpoint in container.place.endpoints if endpoint.ipv4), "")
