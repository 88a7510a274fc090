"""What happens when the daemon starts: databases, kernel, shim and supervisor are brought into agreement.

What runs is adopted; what ended meanwhile is recorded as it ended, or as unknown; what was half done is undone; what
carries our mark and belongs to nobody is released. After a reboot containers start again by their policy.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

from stackfile import log, wire
from stackfile.engines.embedded import clock, order, restarts
from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.cleanup import step
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.discovery import Discovery
from stackfile.engines.embedded.execs import UNKNOWN, Execs
from stackfile.engines.embedded.exits import ExitRouter
from stackfile.engines.embedded.launcher import INTENT as START
from stackfile.engines.embedded.launcher import Launcher
from stackfile.engines.embedded.leftovers import Leftovers
from stackfile.engines.embedded.lifecycle import Lifecycle
from stackfile.engines.embedded.namespaces import Namespaces
from stackfile.engines.embedded.networks import DEFAULT, Networks
from stackfile.engines.embedded.networks import INTENT as NETWORK
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import RUNNING, Container, Registry
from stackfile.engines.embedded.runner import INTENT as STEP
from stackfile.engines.embedded.runner import Runner
from stackfile.engines.embedded.supervise import Supervision
from stackfile.engines.embedded.volumes import Volumes
from stackfile.errors import StackfileError
from stackfile.kernel.process import since_epoch
from stackfile.model.container import NetworkRecord
from stackfile.runtime.shim_client import Exit, Running
from stackfile.store.rows import IntentRow, RunningRow
from stackfile.supervisor.client import OrphanExit

_LOG = log.get("recovery")
_DEPENDENCY_PATIENCE = 300.0
"""Seconds for which a container waits for its dependencies after a reboot before it starts all the same."""


class Recovery:
    """Runs once, at open, before anybody else may ask for anything."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        networks: Networks,
        discovery: Discovery,
        ports: Ports,
        launcher: Launcher,
        lifecycle: Lifecycle,
        supervision: Supervision,
        volumes: Volumes,
        runner: Runner,
        leftovers: Leftovers,
        exits: ExitRouter,
        execs: Execs,
        namespaces: Namespaces,
    ) -> None:
        self._core = core
        self._registry = registry
        self._networks = networks
        self._discovery = discovery
        self._ports = ports
        self._launcher = launcher
        self._lifecycle = lifecycle
        self._supervision = supervision
        self._volumes = volumes
        self._runner = runner
        self._leftovers = leftovers
        self._exits = exits
        self._execs = execs
        self._namespaces = namespaces
        self._boot: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Bring everything into agreement. Containers of a rebooted machine start in the background."""
        with step("network", "settling what was half done"):
            self._core.network.setup()
        self._undo_networks()
        self._networks.restore()
        live = await self._core.shim.running()
        running = {item.container: item for item in live if not item.exec_id}
        lost: list[Container] = []
        for container in self._registry.all():
            item = running.pop(container.id, None)
            if item is not None:
                with step(container.id, "adoption"):
                    await self._adopt(container, item)
            elif container.state.running or container.state.status == "removing":
                lost.append(container)
        for item in running.values():
            await self.end_stranger(item)
        for item in live:
            if item.exec_id:
                await self._execs.adopt(item)
        await self._undo_intents()
        await self._exits.release()
        await self._discovery.replace()
        self._ports.release_unknown()
        await self._settle_lost(lost)
        await self._sweep()
        if self._core.run.fresh:
            self._start_after_boot()

    def close(self) -> None:
        """Starts that are still due are left to the next time."""
        for task in self._boot:
            task.cancel()

    # ---- what runs

    async def _adopt(self, container: Container, running: Running) -> None:
        """Take over a container that ran on while no daemon lived (or whose start was not recorded any more)."""
        state = container.state
        started_at = state.started_at if state.running and state.pid == running.pid else ""
        _LOG.info("adopting %s, pid %d", container.name, running.pid)
        container.start_time = running.start_time
        self._core.run.put_running(RunningRow(container.id, running.pid, running.start_time))
        if started_at:
            status = "paused" if state.status == "paused" else "running"
            self._registry.set_state(container, status=status, pid=running.pid)
        else:
            container.desired = RUNNING
            self._lifecycle.entered(container, running, clock.rfc3339(since_epoch(running.start_time)))
        self._lease_again(container)
        container.reachable = bool(container.place.endpoints)
        with step(container.id, "ports"):
            self._ports.adopt(container)
            self._ports.refresh(container)
        await self._serve_again(container)
        self._supervision.watch(container)

    def _lease_again(self, container: Container) -> None:
        for endpoint in container.place.endpoints:
            for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                self._core.run.lease(endpoint.network_id, [address], container.id)
            network = self._networks.get(endpoint.network_id)
            if network is not None and network.name == DEFAULT:
                self._networks.default(container.id)

    async def _serve_again(self, container: Container) -> None:
        sockets = self._core.supervisor.fetch(f"dns/{container.id}")
        try:
            if container.place.endpoints:
                with step(container.id, "namespace"):
                    self._namespaces.hold_again(container)
            if len(sockets) == 2:
                await self._core.resolver.serve(container.id, sockets[0], sockets[1])
            elif container.place.endpoints:
                with step(container.id, "names"):
                    await self._namespaces.serve_again(container)
        finally:
            for socket in sockets:
                os.close(socket)

    # ---- what does not run (any more)

    async def _settle_lost(self, lost: Sequence[Container]) -> None:
        """Containers that the database has as running and the shim does not, its reports included.

        The supervisor may know how an orphan ended; else it is not known, and recorded as such.
        """
        rows = {row.container: row for row in self._core.run.list_running()}
        orphans = {(end.pid, end.start_time): end for end in self._core.supervisor.exits()}
        for container in lost:
            if not container.alive:
                await self._rest(container)
            elif self._core.run.fresh:
                self._lifecycle.lost_at_reboot(container)
                if container.spec.auto_remove:
                    await self._lifecycle.remove(container, volumes=True)
            else:
                row = rows.get(container.id)
                orphan = orphans.get((row.pid, row.start_time)) if row else None
                await self._lifecycle.ended(container, end_of(container, orphan))
                if orphan is not None:
                    self._core.supervisor.forget(orphan.pid, orphan.start_time)

    async def _rest(self, container: Container) -> None:
        """One that waited for its next start, or whose removal was under way."""
        if container.state.status == "removing":
            await self._lifecycle.remove(container, force=True)
        elif container.state.status == "restarting" and not self._core.run.fresh:
            delay = container.state.restart_delay
            self._supervision.restart_after(container, delay, lambda: self._lifecycle.start_again(container))
        elif container.state.status == "restarting":
            self._registry.set_state(container, status="exited")

    async def end_stranger(self, running: Running) -> None:
        """A process of the shim's that no container here is: its record is gone, or it was a build's step."""
        _LOG.info("ending %s, which nobody knows", running.container[:12])
        try:
            await self._core.shim.signal(running.container, 9)
        except StackfileError as error:
            _LOG.warning("%s", error)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if not any(item.container == running.container for item in await self._core.shim.running()):
                break
            await asyncio.sleep(0.01)
        await self._runner.sweep(running.container)

    # ---- what was half done

    def _undo_networks(self) -> None:
        """A network whose creation was begun and not recorded as done is not there for anybody yet."""
        for intent in self._core.run.intents():
            if intent.kind == NETWORK:
                self._networks.undo(wire.decode(intent.data, NetworkRecord))
                self._core.run.done(intent.id)

    async def _undo_intents(self) -> None:
        for intent in self._core.run.intents():
            if await self.undo(intent):
                self._core.run.done(intent.id)

    async def undo(self, intent: IntentRow) -> bool:
        """Take back what was begun with a container's start or a build's step; False for intents of others."""
        if intent.kind == STEP:
            await self._runner.sweep(intent.key)
        elif intent.kind == START:
            container = self._registry.get(intent.key)
            if container is not None and not container.alive:
                await self._launcher.teardown(container)
        return intent.kind in (STEP, START)

    async def _sweep(self) -> None:
        """Release what carries our mark and belongs to no running container, and directories of no container."""
        await asyncio.to_thread(self._core.cgroups.remove_left_spares)
        for leftover in self._leftovers.find():
            with step(leftover.subject.rpartition("/")[2], leftover.reason):
                await leftover.remove()
        self._networks.drop_default()
        self._volumes.sweep()

    # ---- after a reboot

    def _start_after_boot(self) -> None:
        candidates = [container for container in self._registry.all() if _survives(container)]
        for container in candidates:
            self._lifecycle.expect(container)
        for container in candidates:
            self._boot.append(spawn(self._start_in_order(container, candidates), f"start of {container.name}"))

    async def _start_in_order(self, container: Container, candidates: Sequence[Container]) -> None:
        for other, condition in order.dependencies(container, candidates):
            await self._await_dependency(container, other, condition)
        try:
            await self._lifecycle.start_after_boot(container)
        except StackfileError as error:
            _LOG.warning("%s does not start: %s", container.name, error)

    async def _await_dependency(self, container: Container, other: Container, condition: str) -> None:
        try:
            async with asyncio.timeout(_DEPENDENCY_PATIENCE):
                while not _satisfied(other, condition):
                    await other.changed.wait()
        except TimeoutError:
            _LOG.warning("%s starts without waiting any longer for %s", container.name, other.name)


def _survives(container: Container) -> bool:
    return restarts.survives_reboot(
        container.spec.restart,
        exit_code=container.state.exit_code,
        desired_running=container.desired == RUNNING,
    )


def _satisfied(other: Container, condition: str) -> bool:
    if condition == "service_completed_successfully":
        return other.state.status == "exited" and other.state.exit_code == 0
    if condition == "service_healthy":
        return other.state.status == "running" and other.state.health.status in ("healthy", "none")
    return other.alive


def end_of(container: Container, orphan: OrphanExit | None) -> Exit:
    """The end of a container as the supervisor saw it, or as nobody did."""
    return Exit(
        container=container.id,
        exec_id="",
        pid=container.state.pid,
        status=_code(orphan.status) if orphan else UNKNOWN,
        known=orphan is not None,
        reason="" if orphan else "it ended while nothing watched it",
        time_ns=orphan.time_ns if orphan else clock.now_ns(),
        oom=False,
    )


def _code(status: int) -> int:
    """Docker's code of a wait status."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code
