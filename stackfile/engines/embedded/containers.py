"""Creating, listing, renaming, waiting for and removing containers."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from random import Random

from stackfile.engines.embedded import clock, names
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.cleanups import Cleanups
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.labelled import attributes
from stackfile.engines.embedded.launcher import log_directory
from stackfile.engines.embedded.mounts import Mounts
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.engines.embedded.volumes import Volumes
from stackfile.errors import ActionError, StackfileError
from stackfile.kernel.process import is_alive
from stackfile.model.container import ContainerRecord, ContainerSpec, ContainerState, ExitStatus

_REPORT_PATIENCE = 3.0
_CONDITIONS = ("not-running", "next-exit", "removed")


class Containers:
    """Containers as records. What starts and stops them is `lifecycle`."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        networks: Networks,
        volumes: Volumes,
        mounts: Mounts,
        ports: Ports,
        bus: Bus,
        cleanups: Cleanups,
        discard: Callable[[str, str], None],
    ) -> None:
        """`discard(identity, directory)` removes a container's directory once nobody reads its log any more."""
        self._core = core
        self._registry = registry
        self._networks = networks
        self._volumes = volumes
        self._mounts = mounts
        self._ports = ports
        self._bus = bus
        self._cleanups = cleanups
        self._discard = discard
        self._random = Random()

    async def create(self, spec: ContainerSpec) -> str:
        """Returns the id. ConflictError (`name-taken`), NotFoundError (`image-not-found`)."""
        image = self._core.images.get(spec.image or spec.image_name)
        name = spec.name or names.random_name(self._registry.names(), self._random)
        names.check_name("container", name)
        identity = names.new_id()
        container = Container(
            id=identity,
            spec=replace(spec, name=name, image=image.id, image_name=spec.image_name or spec.image),
            state=ContainerState(),
            created=clock.rfc3339(clock.now_ns()),
        )
        self._registry.claim(name, identity)
        try:
            self._core.snapshots.prepare(identity, image.id)
            os.makedirs(log_directory(self._core, identity), mode=0o700, exist_ok=True)
            self._mounts.assign(container, image.config)
            self._registry.add(container)
        except BaseException:
            self._registry.unclaim(name, identity)
            self._discard(identity, self._core.paths.container(identity))
            raise
        self._bus.publish("container", "create", identity, attributes(container))
        return identity

    def record(self, container: Container) -> ContainerRecord:
        """The container as others see it, with its use of memory and processes now."""
        memory, pids = self._core.cgroups.usage(container.id) if container.alive else (0, 0)
        return ContainerRecord(
            id=container.id,
            spec=container.spec,
            state=container.state,
            created=container.created,
            endpoints=container.place.endpoints,
            published=container.place.published if container.state.running else (),
            log_path=f"{log_directory(self._core, container.id)}/stdout.log",
            pids=pids,
            memory=memory,
            volumes=dict(container.place.volumes),
        )

    def list(self, project: str, everything: bool) -> list[ContainerRecord]:
        """Oldest first; only those that run unless `everything`."""
        return [
            self.record(container)
            for container in self._registry.all()
            if (not project or container.project == project) and (everything or container.state.running)
        ]

    async def await_reports(self, project: str) -> None:
        """Wait until every end of a process of the project that the kernel knows is recorded; 3 s at most.

        The report comes later than the end, by up to a second where the shim was killed: who looks between the two
        would take for running what is not.
        """
        gone = [
            container
            for container in self._registry.all()
            if container.project == project and container.state.running
            and not is_alive(container.state.pid, container.start_time)
        ]  # fmt: skip
        if not gone:
            return
        pids = {container.id: container.state.pid for container in gone}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REPORT_PATIENCE):
                for container in gone:
                    while container.state.running and container.state.pid == pids[container.id]:
                        await container.changed.wait()

    async def wait(self, container: Container, condition: str) -> ExitStatus:
        """condition: not-running, next-exit, removed. ActionError (`bad-request`) for another one."""
        if condition not in _CONDITIONS:
            raise ActionError("bad-request", f"unknown wait condition {condition!r}", hint=", ".join(_CONDITIONS))
        exits = container.exits
        while not _fulfilled(container, condition, exits):
            await container.changed.wait()
        return container.exit_status

    def delete(self, container: Container, volumes: bool) -> None:
        """Remove one that does not run, with its anonymous volumes if `volumes`. The caller holds its lock."""
        self._ports.release(container)
        # The row first: what is left of a container without one is swept at the next start.
        self._registry.remove(container)
        # Not before its end of the network is gone: the next holder of the address has neighbours of its own.
        self._cleanups.afterwards(container.id, lambda: self._networks.release(container.id))
        self._networks.leave_default(container.id)
        self._discard(container.id, self._core.paths.container(container.id))
        if volumes:
            self._remove_anonymous(container)
        self._bus.publish("container", "destroy", container.id, attributes(container))

    def _remove_anonymous(self, container: Container) -> None:
        for name in container.place.volumes.values():
            try:
                if self._volumes.get(name).anonymous:
                    self._volumes.remove(name)
            except StackfileError:
                continue  # gone already, or another container has it


def _fulfilled(container: Container, condition: str, exits: int) -> bool:
    if container.removed:
        return True
    if condition == "removed":
        return False
    if condition == "next-exit":
        return container.exits != exits
    return not container.state.running
