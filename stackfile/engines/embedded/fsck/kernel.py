"""Processes, and what of the kernel and the run root belongs to them: descriptors, cgroups, mounts, intents, leases."""

from __future__ import annotations

from collections.abc import Iterator

from stackfile import wire
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.fsck.problem import Problem, Repair, at_once
from stackfile.engines.embedded.launcher import Launcher
from stackfile.engines.embedded.leftovers import Leftovers
from stackfile.engines.embedded.lifecycle import Lifecycle
from stackfile.engines.embedded.networks import INTENT as NETWORK
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.recovery import Recovery, end_of
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.engines.embedded.runner import Runner
from stackfile.engines.embedded.streams import Readers
from stackfile.kernel.mounts import mount_points, unmount
from stackfile.model.container import NetworkRecord
from stackfile.runtime.shim_client import Running
from stackfile.store.rows import IntentRow

_LASTING = "network.forwarding"
"""An intent that stays as long as there are networks: it remembers what the setting was before."""


class KernelFaults:
    """What runs or lies in the kernel and should not, or the other way round."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        networks: Networks,
        launcher: Launcher,
        lifecycle: Lifecycle,
        runner: Runner,
        readers: Readers,
        recovery: Recovery,
        leftovers: Leftovers,
    ) -> None:
        self._core = core
        self._registry = registry
        self._networks = networks
        self._launcher = launcher
        self._lifecycle = lifecycle
        self._runner = runner
        self._readers = readers
        self._recovery = recovery
        self._leftovers = leftovers

    def busy(self) -> set[str]:
        """Ids of containers and steps that are coming or going, or whose log is being read."""
        locked = {container.id for container in self._registry.all() if container.lock.locked()}
        return locked | self._runner.running | self._launcher.cleanups.keys | self._readers.read

    async def look(self) -> list[Problem]:
        found = [*self._mounts(), *await self._processes()]
        busy = self.busy()
        found += [
            Problem(item.reason, item.subject, item.found, "it is removed", item.remove)
            for item in self._leftovers.find(busy)
        ]
        return [*found, *self._intents(busy), *self._leases(busy), *self._rows(busy)]

    # ---- processes

    async def _processes(self) -> list[Problem]:
        running = {item.container: item for item in await self._core.shim.running() if not item.exec_id}
        busy = self.busy()
        found = [
            Problem(
                "process-missing",
                f"container {container.name}",
                f"its process {container.state.pid} does not run",
                "its end is recorded as unknown, and its restart policy applies",
                self._end(container),
            )
            for container in self._registry.all()
            if container.alive and container.id not in running and container.id not in busy
        ]
        known = {container.id for container in self._registry.all()} | busy
        return found + [self._stranger(item) for item in running.values() if item.container not in known]

    def _end(self, container: Container) -> Repair:
        async def repair() -> None:
            if container.alive and not container.lock.locked():
                await self._lifecycle.ended(container, end_of(container, None))

        return repair

    def _stranger(self, item: Running) -> Problem:
        async def repair() -> None:
            await self._recovery.end_stranger(item)

        return Problem("process-unknown", f"process {item.pid}", "runs for no container", "it is ended", repair)

    # ---- run.db

    def _intents(self, busy: set[str]) -> Iterator[Problem]:
        for intent in self._core.run.intents():
            if intent.kind != _LASTING and intent.key not in busy:
                yield Problem(
                    "intent-left",
                    f"intent {intent.kind} {intent.key[:12]}",
                    "was begun and is not under way",
                    "what it left is taken back",
                    self._settle(intent),
                )

    def _settle(self, intent: IntentRow) -> Repair:
        async def repair() -> None:
            known = {network.id for network in self._networks.list()}
            if intent.kind == NETWORK and intent.key not in known:
                self._networks.undo(wire.decode(intent.data, NetworkRecord))
            elif intent.key not in known and not await self._recovery.undo(intent):
                self._core.network.undo(keep=known)
            self._core.run.done(intent.id)

        return repair

    def _leases(self, busy: set[str]) -> Iterator[Problem]:
        """Addresses of running containers; those that nobody has are among the leftovers."""
        held = {(row.network, row.address): row.owner for row in self._core.run.all_leases()}
        for container in self._registry.all():
            if not container.alive or container.id in busy:
                continue
            for endpoint in container.place.endpoints:
                for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                    owner = held.get((endpoint.network_id, address), "")
                    if owner != container.id:
                        yield Problem(
                            "lease-missing",
                            f"container {container.name}",
                            f"{address} in {endpoint.network} is leased to {owner[:12] or 'nobody'}",
                            "recreate one of the two" if owner else "it is leased to the container",
                            None if owner else self._lease(endpoint.network_id, address, container.id),
                        )

    def _lease(self, network: str, address: str, owner: str) -> Repair:
        return at_once(self._core.run.lease, network, [address], owner)

    def _rows(self, busy: set[str]) -> Iterator[Problem]:
        alive = {container.id for container in self._registry.all() if container.alive} | busy
        for row in self._core.run.list_running():
            if row.container not in alive:
                forget = at_once(self._core.run.delete_running, row.container)
                subject = f"row of process {row.pid}"
                yield Problem("running-unknown", subject, "of no container that runs", "it is removed", forget)

    # ---- mounts

    def _mounts(self) -> Iterator[Problem]:
        """Containers mount in namespaces of their own: of ours nothing is mounted where the engine's processes are."""
        owned = tuple(f"{path}/" for path in self._own_directories())
        for point in reversed(mount_points()):
            if point.startswith(owned):
                yield Problem(
                    "mount-unknown", f"mount {point}", "below what is ours alone", "it goes", at_once(unmount, point)
                )

    def _own_directories(self) -> list[str]:
        paths = self._core.paths
        return [
            f"{self._core.run_paths.root}/containers", f"{paths.root}/containers", paths.layers, paths.blobs,
            paths.temporary, paths.files, paths.contexts,
        ]  # fmt: skip
