"""The network of a container: its namespace, its endpoints, its resolver."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count

from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.networks import DEFAULT, Networks
from stackfile.engines.embedded.registry import Container, Placement, Registry
from stackfile.engines.embedded.stock import Stock
from stackfile.errors import ConflictError
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.model.stack import Attachment
from stackfile.network.attachment import Wired
from stackfile.network.port import PortFacts

SHARED = "container:"


class Namespaces:
    """Network namespaces; the supervisor holds each under `netns/<id>` for as long as its container runs."""

    def __init__(self, core: Core, networks: Networks, registry: Registry, stock: Stock) -> None:
        self._core = core
        self._stock = stock
        self._networks = networks
        self._registry = registry

    def open(self, container: Container) -> int | None:
        """The namespace that the container's process joins, connected; the caller closes the descriptor.

        None is the machine's own. Leases addresses and writes them to the container's place. Raises ConflictError
        (`not-running`) for `container:` of one that does not run, and what the network below raises.
        """
        mode = container.spec.network_mode
        if mode == "host":
            return None
        if mode.startswith(SHARED):
            return self._join(container, mode.removeprefix(SHARED))
        wanted = attachments(container)
        # Those in stock have an eth0: of no use to a container that names its interfaces itself.
        ready = self._stock.namespace() if wanted and not any(each.interface for each in wanted) else None
        descriptor = ready.wired.netns if ready else self._core.network.new_namespace()
        try:
            self._core.supervisor.hold(f"netns/{container.id}", [descriptor])
            self._connect_all(container, descriptor, ready.wired if ready else None)
            if container.place.endpoints:
                self._answer(container, descriptor, ready.sockets if ready else None)
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            if ready is not None:
                ready.wired.route.close()
                ready.close_sockets()
        return descriptor

    def close(self, container: Container) -> None:
        """Let the namespace go, and with it its interfaces. The addresses stay leased to the container."""
        self._networks.leave_default(container.id)
        self._core.supervisor.drop(f"dns/{container.id}", f"netns/{container.id}")
        for endpoint in container.place.endpoints:
            network = self._networks.get(endpoint.network_id)
            if network is not None:
                self._core.network.detach(container.id, network, None, endpoint)

    def connect(self, container: Container, network: NetworkRecord, attachment: Attachment) -> None:
        """Add a network to a container; at once when it runs. The one of highest priority gets the default routes."""
        place = container.place
        endpoint = self._networks.endpoint(network, container.id, attachment, None)
        interface = attachment.interface or _free(place.interfaces.values())
        after = replace(
            place,
            endpoints=(*place.endpoints, endpoint),
            interfaces={**place.interfaces, network.id: interface},
        )
        if container.alive:
            priorities = {**_priorities(container), attachment.network: _priority(attachment)}
            descriptor = self._held(container)
            try:
                self._core.network.attach(container.id, descriptor, interface, network, endpoint, False)
                self._lead(descriptor, after, self._ways_out(after, priorities))
                if not self._core.supervisor.keys(f"dns/{container.id}"):
                    self._answer(container, descriptor)
            finally:
                os.close(descriptor)
            container.reachable = True
        container.place = after

    def disconnect(self, container: Container, network: NetworkRecord) -> None:
        """Take a container off a network; at once when it runs. Another one of its networks gets the default routes."""
        place = container.place
        gone = [endpoint for endpoint in place.endpoints if endpoint.network_id == network.id]
        after = replace(
            place,
            endpoints=tuple(endpoint for endpoint in place.endpoints if endpoint not in gone),
            interfaces={key: name for key, name in place.interfaces.items() if key != network.id},
        )
        for endpoint in gone if container.alive else ():
            descriptor = self._held(container)
            try:
                self._core.network.detach(container.id, network, descriptor, endpoint)
                self._lead(descriptor, after, self._ways_out(after, _priorities(container)))
            finally:
                os.close(descriptor)
        container.place = after
        self._networks.release(container.id, network.id)

    def adjust(self, container: Container, network: NetworkRecord, attachment: Attachment) -> None:
        """Take over what of an attachment can change without a break: aliases and the priority."""
        place = container.place
        container.place = replace(
            place,
            endpoints=tuple(
                replace(endpoint, aliases=attachment.aliases) if endpoint.network_id == network.id else endpoint
                for endpoint in place.endpoints
            ),
        )
        if container.alive:
            descriptor = self._held(container)
            try:
                self._lead(descriptor, container.place, self._ways_out(container.place, _priorities(container)))
            finally:
                os.close(descriptor)

    def ports(self, container: Container) -> list[tuple[NetworkRecord, PortFacts]]:
        """What the kernel has of a running container's places at its bridges; nothing for one that has just ended."""
        found: list[tuple[NetworkRecord, PortFacts]] = []
        try:
            descriptor = os.open(f"/proc/{container.state.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return found
        try:
            for identity, interface in container.place.interfaces.items():
                network = self._networks.get(identity)
                if network is not None:
                    found.append((network, self._core.network.port(descriptor, interface, network)))
        finally:
            os.close(descriptor)
        return found

    def reconnect(self, container: Container) -> None:
        """Have the interfaces of a running container at their bridges again, with their addresses and routes."""
        place = container.place
        descriptor = self._held(container)
        try:
            for endpoint in place.endpoints:
                network = self._networks.get(endpoint.network_id)
                interface = place.interfaces.get(endpoint.network_id, "")
                if network is not None and interface:
                    self._core.network.reattach(container.id, descriptor, interface, network, endpoint, False)
            self._lead(descriptor, place, self._ways_out(place, _priorities(container)))
        finally:
            os.close(descriptor)

    async def serve_names(self, container: Container, descriptor: int) -> None:
        """Have the resolver answer at 127.0.0.11 in the namespace."""
        sockets = self._core.network.dns_sockets(descriptor)
        self._core.supervisor.hold(f"dns/{container.id}", sockets)
        await self._serve(container.id, sockets)

    def hold_again(self, container: Container) -> None:
        """Give a new supervisor, whose predecessor died with the daemon, the namespace of a running container."""
        if not self._core.supervisor.keys(f"netns/{container.id}"):
            descriptor = self._now(container)
            try:
                self._core.supervisor.hold(f"netns/{container.id}", [descriptor])
            finally:
                os.close(descriptor)

    async def serve_again(self, container: Container) -> None:
        """Names for a running container whose sockets have gone with the processes that had them."""
        descriptor = self._now(container)
        try:
            await self.serve_names(container, descriptor)
        finally:
            os.close(descriptor)

    # ---- inside

    def _answer(self, container: Container, descriptor: int, sockets: tuple[int, int] | None = None) -> None:
        """As `serve_names`, by these sockets or new ones, without waiting for the resolver.

        Queries wait in the sockets, which the supervisor holds.
        """
        own = (os.dup(sockets[0]), os.dup(sockets[1])) if sockets else self._core.network.dns_sockets(descriptor)
        self._core.supervisor.hold(f"dns/{container.id}", own)
        spawn(self._serve(container.id, own), f"names for {container.name}")

    async def _serve(self, identity: str, sockets: tuple[int, int]) -> None:
        try:
            await self._core.resolver.serve(identity, *sockets)
        finally:
            for socket in sockets:
                os.close(socket)

    @staticmethod
    def _now(container: Container) -> int:
        return os.open(f"/proc/{container.state.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def _join(self, container: Container, ref: str) -> int:
        other = self._registry.find(ref)
        if not other.alive:
            raise ConflictError("not-running", f"container {container.name} joins the network of {other.name}",
                                cause=f"{other.name} is not running")  # fmt: skip
        container.place = replace(container.place, endpoints=(), interfaces={})
        return self._held(other)

    def _ways_out(self, place: Placement, priorities: Mapping[str, tuple[int, int]]) -> dict[int, Endpoint]:
        """By family the endpoint that the default route leads through: of highest priority, joined first."""
        ways: dict[int, Endpoint] = {}
        for endpoint in sorted(place.endpoints, key=lambda one: priorities.get(one.network, (0, 0)), reverse=True):
            network = self._networks.get(endpoint.network_id)
            if network is None or network.internal:
                continue
            if endpoint.gateway:
                ways.setdefault(4, endpoint)
            if endpoint.gateway6:
                ways.setdefault(6, endpoint)
        return ways

    def _lead(self, descriptor: int, place: Placement, ways: Mapping[int, Endpoint]) -> None:
        for version, endpoint in ways.items():
            network = self._networks.get(endpoint.network_id)
            if network is not None:
                self._core.network.lead(descriptor, place.interfaces[network.id], network, endpoint, (version,))

    def _held(self, container: Container) -> int:
        found = self._core.supervisor.fetch(f"netns/{container.id}")
        if not found:
            raise ConflictError("conflict", f"container {container.name} has no network of its own")
        return found[0]

    def _connect_all(self, container: Container, descriptor: int, wired: Wired | None = None) -> None:
        """Join all networks; the first by the pair that waits in the namespace, where there is one."""
        previous = {endpoint.network_id: endpoint for endpoint in container.place.endpoints}
        joined: list[tuple[NetworkRecord, Endpoint]] = []
        for attachment in attachments(container):
            network = self._find(container, attachment.network)
            endpoint = self._networks.endpoint(network, container.id, attachment, previous.get(network.id))
            joined.append((network, endpoint))
        given = [attachment.interface for attachment in attachments(container)]
        interfaces: dict[str, str] = {}
        for (network, _), name in zip(joined, given, strict=True):
            interfaces[network.id] = name or _free([*interfaces.values(), *given])
        place = replace(container.place, endpoints=tuple(each for _, each in joined), interfaces=interfaces)
        ways = self._ways_out(place, _priorities(container))
        for number, (network, endpoint) in enumerate(joined):
            # Both routes at once where they lead the same way, as they nearly always do.
            both = bool(ways) and all(way is endpoint for way in ways.values())
            if number == 0 and wired is not None:
                self._core.network.attach_wired(container.id, wired, network, endpoint, both)
            else:
                interface = interfaces[network.id]
                self._core.network.attach(container.id, descriptor, interface, network, endpoint, both)
        if len({way.network_id for way in ways.values()}) > 1:
            self._lead(descriptor, place, ways)
        container.place = place

    def _find(self, container: Container, name: str) -> NetworkRecord:
        if name == DEFAULT:
            return self._networks.default(container.id)
        return self._networks.find(name)


def _free(taken: Iterable[str]) -> str:
    """The first of eth0, eth1, … that is not taken."""
    names = set(taken)
    return next(f"eth{number}" for number in count() if f"eth{number}" not in names)


def _priorities(container: Container) -> dict[str, tuple[int, int]]:
    """Network's name → priority."""
    return {attachment.network: _priority(attachment) for attachment in attachments(container)}


def _priority(attachment: Attachment) -> tuple[int, int]:
    return (attachment.gateway_priority, attachment.priority)


def attachments(container: Container) -> list[Attachment]:
    """Networks of a container, the one that gets the default route first; the engine's own where it names none."""
    spec = container.spec
    if spec.network_mode == "none":
        return []
    if spec.networks:
        return sorted(spec.networks, key=lambda attachment: -attachment.priority)
    named = spec.network_mode if spec.network_mode not in ("", "default") else DEFAULT
    return [Attachment(network=named)]
