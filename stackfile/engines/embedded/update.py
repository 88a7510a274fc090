"""Changing containers in place: limits, ports, networks, contents of files, what the engine only records."""

from __future__ import annotations

from dataclasses import replace

from stackfile.engines.embedded import names
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.discovery import Discovery
from stackfile.engines.embedded.labelled import attributes
from stackfile.engines.embedded.launcher import Launcher
from stackfile.engines.embedded.mending import Mender
from stackfile.engines.embedded.mounts import Mounts
from stackfile.engines.embedded.namespaces import SHARED, Namespaces, attachments
from stackfile.engines.embedded.networks import DEFAULT, Networks
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.engines.embedded.supervise import Supervision
from stackfile.errors import ConflictError, NotFoundError
from stackfile.model.container import ContainerSpec, NetworkRecord
from stackfile.model.stack import Attachment
from stackfile.runtime import devices

_RESOLVED = ("extra_hosts", "dns", "dns_search", "dns_options", "networks")
"""Fields that the texts of hosts and resolv.conf are made of."""


class Update:
    """Applies what can be applied while a container runs; the rest is stored for its next start."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        launcher: Launcher,
        mounts: Mounts,
        networks: Networks,
        namespaces: Namespaces,
        discovery: Discovery,
        ports: Ports,
        supervision: Supervision,
        mender: Mender,
        bus: Bus,
    ) -> None:
        self._mender = mender
        self._core = core
        self._registry = registry
        self._launcher = launcher
        self._mounts = mounts
        self._networks = networks
        self._namespaces = namespaces
        self._discovery = discovery
        self._ports = ports
        self._supervision = supervision
        self._bus = bus

    async def update(self, container: Container, spec: ContainerSpec) -> None:
        """Make `spec` the container's. Raises what the kernel refuses, and leaves the old spec then.

        The name stays unless `spec` has another one; ConflictError (`name-taken`).
        """
        async with container.turn("update"):
            container.require()
            before = container.spec
            after = replace(spec, name=spec.name or before.name, image=spec.image or before.image)
            if after.name != before.name:
                self._registry.rename(container, after.name)
            if container.alive:
                # Also when nothing differs: somebody may have changed them behind our back.
                self._core.cgroups.update(container.id, after.resources)
            container.spec = after
            try:
                await self._apply(container, before)
            except BaseException:
                container.spec = before
                raise
            finally:
                self._registry.save(container)
        self._bus.publish("container", "update", container.id, attributes(container))

    async def rename(self, container: Container, name: str) -> None:
        """ConflictError (`name-taken`), ActionError (`bad-request`)."""
        wanted, before = name.removeprefix("/"), container.name
        names.check_name("container", wanted)
        async with container.turn("renaming"):
            container.require()
            self._registry.rename(container, wanted)
            if container.reachable:
                await self._discovery.announce(container)
        self._bus.publish("container", "rename", container.id, attributes(container, oldName=f"/{before}"))

    async def connect(self, container: Container, ref: str, attachment: Attachment) -> None:
        """Add a network. ConflictError when it is there already or the container has no networks of its own."""
        async with container.turn("joining a network"):
            container.require()
            network = self._networks.find(ref)
            wanted = replace(attachment, network=network.name)
            if any(endpoint.network_id == network.id for endpoint in container.place.endpoints):
                raise ConflictError("conflict", f"container {container.name} is on network {network.name} already")
            mode = container.spec.network_mode
            if mode == "host" or mode.startswith(SHARED):
                raise ConflictError("conflict", f"container {container.name} has network_mode {mode}")
            others = [a for a in attachments(container) if a.network != network.name]
            first = not container.place.endpoints
            self._namespaces.connect(container, network, wanted)
            container.spec = replace(container.spec, networks=(*others, wanted), network_mode="")
            if first and container.alive:
                self._launcher.write_etc(container)
            await self._settle(container, network)
        self._publish(network, "connect", container)

    async def disconnect(self, container: Container, ref: str, force: bool) -> None:
        """Take a network away. NotFoundError when the container is not on it (nothing with `force`)."""
        async with container.turn("leaving a network"):
            container.require()
            before = attachments(container)
            if ref == DEFAULT and any(attachment.network == DEFAULT for attachment in before):
                self._networks.default(container.id)  # of a container that was not started it may not be there
            network = self._networks.find(ref)
            left = tuple(a for a in before if a.network not in (network.name, network.id))
            if len(left) == len(before) and not force:
                raise NotFoundError("endpoint", f"{container.name} on network {network.name}")
            self._namespaces.disconnect(container, network)
            if network.name == DEFAULT:
                self._networks.leave_default(container.id)
            mode = container.spec.network_mode if left else "none"
            container.spec = replace(container.spec, networks=left, network_mode="" if left else mode)
            await self._settle(container, network)
        self._publish(network, "disconnect", container)

    # ---- inside

    async def _apply(self, container: Container, before: ContainerSpec) -> None:
        after = container.spec
        if not container.alive:
            return
        if after.files != before.files:
            self._mounts.rewrite(container, before.files)
        if after.device_rules != before.device_rules and not after.privileged:
            _, allowed = devices.resolve(after.devices)
            self._core.cgroups.set_devices(container.id, devices.rules(allowed, after.device_rules, privileged=False))
        await self._mender.container(container)
        if after.ports != before.ports or after.publish_all != before.publish_all:
            self._republish(container)
        if after.networks != before.networks and after.network_mode == before.network_mode:
            await self._rewire(container, before)
        if any(getattr(after, name) != getattr(before, name) for name in _RESOLVED):
            await self._rename_others(container)
        if after.healthcheck != before.healthcheck:
            self._supervision.watch(container)
        self._ports.refresh(container)
        if after.name != before.name or after.labels != before.labels:
            await self._discovery.announce(container)

    async def _rename_others(self, container: Container) -> None:
        """New texts of hosts and resolv.conf, for whoever shares the container's network too."""
        self._launcher.write_etc(container)
        for other in self._registry.all():
            if other.alive and other.spec.network_mode in (f"{SHARED}{container.id}", f"{SHARED}{container.name}"):
                self._launcher.write_etc(other)
        if container.reachable:
            await self._discovery.announce(container)

    def _republish(self, container: Container) -> None:
        image = self._launcher.image(container)
        self._ports.release(container)
        container.place = replace(container.place, published=self._ports.acquire(container, image))
        self._ports.refresh(container)

    async def _rewire(self, container: Container, before: ContainerSpec) -> None:
        old = {attachment.network: attachment for attachment in before.networks}
        new = {attachment.network: attachment for attachment in container.spec.networks}
        kept = [name for name in new if name in old and _same_place(old[name], new[name])]
        for name in [name for name in old if name not in kept]:
            network = self._networks.find(name)
            self._namespaces.disconnect(container, network)
            await self._discovery.refresh([network.id])
        for name in new:
            if name in kept:
                self._namespaces.adjust(container, self._networks.find(name), new[name])
            else:
                self._namespaces.connect(container, self._networks.find(name), new[name])
        await self._discovery.announce(container)
        self._ports.refresh(container)

    async def _settle(self, container: Container, network: NetworkRecord) -> None:
        self._registry.save(container)
        if container.alive:
            await self._discovery.announce(container)
            self._ports.refresh(container)
        await self._discovery.refresh([network.id])

    def _publish(self, network: NetworkRecord, action: str, container: Container) -> None:
        self._bus.publish(
            "network", action, network.id, {"name": network.name, "type": network.driver, "container": container.id}
        )


def _same_place(before: Attachment, after: Attachment) -> bool:
    """Whether only what needs no other address differs."""
    like = replace(before, aliases=after.aliases, priority=after.priority, gateway_priority=after.gateway_priority)
    return like == after
