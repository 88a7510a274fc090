"""Starting, stopping, killing, pausing containers, and what happens when one ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from stackfile import log
from stackfile.engines.embedded import clock
from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.containers import Containers
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.execs import UNKNOWN, Execs
from stackfile.engines.embedded.health import effective
from stackfile.engines.embedded.hooks import Hooks
from stackfile.engines.embedded.labelled import attributes
from stackfile.engines.embedded.launcher import Launcher
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import RUNNING, STOPPED, Container, Registry
from stackfile.engines.embedded.supervise import Supervision
from stackfile.errors import ActionError, ConflictError, EngineError, NotFoundError, StackfileError
from stackfile.model.container import Health
from stackfile.model.stack import SECOND
from stackfile.refusals import refusal
from stackfile.runtime.compile import signal_number
from stackfile.runtime.shim_client import Exit, Running
from stackfile.turns import FOR_EVER

DEFAULT_GRACE = 10.0
"""Seconds between the stop signal and SIGKILL."""
_KILL_PATIENCE = 30.0
_SIGKILL = 9
_FAILURES = {"command-not-found": 127, "command-not-executable": 126}

_LOG = log.get("lifecycle")


class Lifecycle:
    """Moves containers between created, running, paused, restarting and exited."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        launcher: Launcher,
        supervision: Supervision,
        execs: Execs,
        ports: Ports,
        bus: Bus,
        containers: Containers,
    ) -> None:
        self._core = core
        self._registry = registry
        self._launcher = launcher
        self._supervision = supervision
        self._execs = execs
        self._ports = ports
        self._bus = bus
        self._containers = containers
        self._hooks = Hooks(execs)

    # ---- start

    async def start(self, container: Container) -> bool:
        """False when it was running already. ConflictError for a paused one; errors as Launcher.launch."""
        async with container.turn("start"):
            container.require()
            if container.state.status == "paused":
                raise ConflictError("conflict", f"container {container.name} is paused", hint="unpause it")
            if container.alive:
                return False
            self._supervision.cancel_restart(container)
            container.desired = RUNNING
            container.state = replace(container.state, restart_count=0, restart_delay=0.0, stopped_by_user=False)
            try:
                await self._launch(container)
            except StackfileError:
                # Docker's clients wait for this removal before they show the error.
                if container.spec.auto_remove:
                    spawn(self._auto_remove(container), f"removal of {container.name}")
                raise
        await self._hooks.after_start(container)
        return True

    async def start_again(self, container: Container) -> None:
        """Start by policy; a failure counts as one more end."""
        async with container.turn("restart by policy"):
            if container.state.status != "restarting" or container.state.stopped_by_user:
                return
            container.state = replace(container.state, restart_count=container.state.restart_count + 1)
            try:
                await self._launch(container)
            except StackfileError:
                self._after_end(container, container.state.exit_code, uptime=0.0)
                raise

    async def start_after_boot(self, container: Container) -> None:
        """Start by policy after the machine was booted, unless somebody decided otherwise meanwhile."""
        async with container.turn("start after boot"):
            if container.state.status == "restarting" and not container.removed:
                await self._launch(container)

    async def _launch(self, container: Container) -> None:
        try:
            running = await self._launched(container)
        except StackfileError as error:
            code = _FAILURES.get(error.reason, 128)
            self._registry.set_state(container, status=_ended_status(container), exit_code=code, error=str(error))
            self._ports.release(container)
            raise
        self.entered(container, running, clock.rfc3339(clock.now_ns()))
        await self._ports.settled(container)
        self._bus.publish("container", "start", container.id, attributes(container))
        self._supervision.watch(container)

    async def _launched(self, container: Container) -> Running:
        try:
            return await self._launcher.launch(container)
        except OSError as error:
            path = str(error.filename or self._core.run_paths.container(container.id))
            known = refusal(error, path) or ActionError("action-failed", path, cause=error.strerror or "")
            raise ActionError(
                known.reason,
                f"container {container.name} does not start: {known.message}",
                cause=known.cause,
                hint=known.hint,
                details=known.details,
            ) from error

    def entered(self, container: Container, running: Running, started_at: str) -> None:
        """Record that the container runs as this process, freshly started."""
        check = effective(container.spec.healthcheck, self._launcher.image(container).healthcheck)
        container.start_time = running.start_time
        self._registry.set_state(
            container,
            status="running",
            pid=running.pid,
            exit_code=0,
            exit_known=True,
            error="",
            oom_killed=False,
            oom_kills=0,
            started_at=started_at,
            health=Health(status="starting") if check else Health(),
        )
        self._ports.refresh(container)

    # ---- stop

    async def stop(self, container: Container, timeout: float | None = None, signal: str = "") -> bool:
        """Stop signal, grace (`timeout` seconds, for ever when negative), SIGKILL. False when it does not run.

        ActionError (`timeout`) when it outlives SIGKILL.
        """
        number = signal_number(signal) if signal else self._stop_signal(container)
        async with container.turn("stop"):
            container.desired = STOPPED
            container.state = replace(container.state, stopped_by_user=True)
            waiting = container.state.status == "restarting"
            if waiting:
                self._give_up_restart(container)
            elif not container.alive:
                self._registry.save(container)
                return False
            exits = container.exits
        if not waiting:
            grace = self._grace(container) if timeout is None else timeout
            await self._hooks.before_stop(container, grace)
            await self._end(container, number, exits, grace)
        self._bus.publish("container", "stop", container.id, attributes(container))
        return True

    async def restart(self, container: Container, timeout: float | None = None, signal: str = "") -> None:
        """Stop (if it runs), by `signal` where one is given, and start."""
        container.keep = True
        try:
            await self.stop(container, timeout, signal)
            await self.start(container)
        finally:
            container.keep = False
        self._bus.publish("container", "restart", container.id, attributes(container))

    async def kill(self, container: Container, signal: str = "SIGKILL") -> None:
        """Send a signal. ConflictError (`not-running`). One that is meant to end it keeps the policy quiet."""
        number = signal_number(signal)
        if not container.alive:
            raise ConflictError("not-running", f"container {container.name} is not running")
        exits = container.exits
        if number in (_SIGKILL, self._stop_signal(container)):
            container.desired = STOPPED
            self._registry.set_state(container, stopped_by_user=True)
        await self._send(container, number)
        if number == _SIGKILL:
            self._thaw(container)
            await self._await_end(container, exits, _KILL_PATIENCE)

    async def _end(self, container: Container, number: int, exits: int, grace: float) -> None:
        await self._send(container, number)
        self._thaw(container)
        if await self._await_end(container, exits, grace):
            return
        await self._send(container, _SIGKILL)
        if not await self._await_end(container, exits, _KILL_PATIENCE):
            raise ActionError("timeout", f"container {container.name} does not end, though it was killed")

    async def _send(self, container: Container, number: int) -> None:
        self._bus.publish("container", "kill", container.id, attributes(container, signal=str(number)))
        try:
            await self._core.shim.signal(container.id, number)
        except (ConflictError, NotFoundError):
            pass  # it ended meanwhile: its exit is on the way

    async def _await_end(self, container: Container, exits: int, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds if seconds >= 0 else None):
                while container.exits == exits and not container.removed:
                    await container.changed.wait()
        except TimeoutError:
            return False
        return True

    def _give_up_restart(self, container: Container) -> None:
        self._supervision.cancel_restart(container)
        self._ports.release(container)
        self._registry.set_state(container, status="exited", restart_delay=0.0)

    def _stop_signal(self, container: Container) -> int:
        try:
            name = container.spec.stop_signal or self._launcher.image(container).stop_signal
        except NotFoundError:
            name = ""
        return signal_number(name or "SIGTERM")

    def _grace(self, container: Container) -> float:
        grace = container.spec.stop_grace_period
        return DEFAULT_GRACE if grace is None else grace / SECOND

    # ---- pause

    async def pause(self, container: Container) -> None:
        """ConflictError unless it runs."""
        async with container.turn("pause"):
            if container.state.status != "running":
                raise ConflictError("not-running", f"container {container.name} is not running")
            await asyncio.to_thread(self._core.cgroups.freeze, container.id)
            self._registry.set_state(container, status="paused")
            self._ports.refresh(container)
        self._bus.publish("container", "pause", container.id, attributes(container))

    async def unpause(self, container: Container) -> None:
        """ConflictError unless it is paused."""
        async with container.turn("unpause"):
            if container.state.status != "paused":
                raise ConflictError("conflict", f"container {container.name} is not paused")
            self._thaw(container)
        self._bus.publish("container", "unpause", container.id, attributes(container))

    def _thaw(self, container: Container) -> None:
        if container.state.status != "paused":
            return
        self._core.cgroups.thaw(container.id)
        self._registry.set_state(container, status="running")
        self._ports.refresh(container)

    # ---- removal

    async def remove(self, container: Container, *, force: bool = False, volumes: bool = False) -> None:
        """ConflictError (`already-running`) for one that runs, unless `force`: then it is killed first."""
        while not await self._removed(container, volumes):
            if not force:
                raise ConflictError(
                    "already-running",
                    f"container {container.name} is running",
                    hint="stop it first, or remove it by force",
                )
            await self.stop(container, 0.0, "SIGKILL")
        if not container.spec.auto_remove:
            # Who removes it by hand finds nothing of it afterwards; `--rm` waits for nothing but the end.
            await self._launcher.cleanups.finish(container.id)

    async def _removed(self, container: Container, volumes: bool) -> bool:
        """Remove it unless it runs: False then. Whoever is starting it is waited for."""
        async with container.turn("removal"):
            if container.state.running:
                return False
            if not container.removed:
                self._supervision.cancel_restart(container)
                self._containers.delete(container, volumes)
        return True

    # ---- the end

    async def out_of_memory(self, container: Container, kills: int) -> None:
        """So many of its processes were killed for lack of memory since it began, perhaps not the main one."""
        async with container.turn("note of memory", patience=FOR_EVER):
            if container.alive and kills > container.state.oom_kills:
                self._registry.set_state(container, oom_killed=True, oom_kills=kills)
                self._bus.publish("container", "oom", container.id, attributes(container))

    async def ended(self, container: Container, end: Exit) -> None:
        """A main process ended: clean up, record it, and do what the policy says."""
        async with container.turn("end", patience=FOR_EVER):
            if container.alive and container.state.pid == end.pid:
                self._settle(container, end)
        # Once it is stored; nobody has to wait for that.
        spawn(self._acknowledge(container, end), f"acknowledgement of {container.name}")

    def lost_at_reboot(self, container: Container) -> None:
        """The machine was restarted while it ran: nothing of it is left in the kernel."""
        container.exits += 1
        self._registry.set_state(
            container,
            status="exited",
            pid=0,
            exit_code=UNKNOWN,
            exit_known=False,
            error="the machine was restarted",
            health=Health(),
            finished_at=clock.rfc3339(clock.now_ns()),
        )
        self._bus.publish("container", "die", container.id, attributes(container, exitCode=str(UNKNOWN)))

    def expect(self, container: Container) -> None:
        """It will be started by policy; until then it counts as restarting."""
        container.desired = RUNNING
        self._registry.set_state(
            container, status="restarting", restart_count=0, restart_delay=0.0, stopped_by_user=False
        )

    def _settle(self, container: Container, end: Exit) -> None:
        told = container.state.oom_killed
        self._supervision.unwatch(container)
        code = end.status if end.known else UNKNOWN
        uptime = max(0.0, (end.time_ns - clock.parse(container.state.started_at)) / 1e9)
        again = self._supervision.wants_restart(container, code)
        self._launcher.retire(container, keep_ports=again)
        self._execs.forget(container)
        container.start_time = 0
        container.exits += 1
        container.state = replace(
            container.state,
            status="exited",
            pid=0,
            exit_code=code,
            exit_known=end.known,
            error="" if end.known else end.reason,
            oom_killed=told or end.oom,
            finished_at=clock.rfc3339(end.time_ns),
        )
        if end.oom and not told:
            self._bus.publish("container", "oom", container.id, attributes(container))
        self._bus.publish("container", "die", container.id, attributes(container, exitCode=str(code)))
        self._after_end(container, code, uptime)

    def _after_end(self, container: Container, code: int, uptime: float) -> None:
        if self._supervision.wants_restart(container, code):
            self._supervision.restart_later(container, uptime, lambda: self.start_again(container))
            return
        self._ports.release(container)
        self._registry.set_state(container, status="exited")
        if container.spec.auto_remove and not container.keep:
            spawn(self._auto_remove(container), f"removal of {container.name}")

    async def _auto_remove(self, container: Container) -> None:
        try:
            await self.remove(container, volumes=True)
        except StackfileError as error:
            _LOG.warning("%s is not removed: %s", container.name, error)

    async def _acknowledge(self, container: Container, end: Exit) -> None:
        await self._registry.saved(container)
        try:
            await self._core.shim.acknowledge(end)
        except (EngineError, NotFoundError) as error:
            _LOG.warning("end of %s is not acknowledged: %s", end.container[:12], error)


def _ended_status(container: Container) -> str:
    """Where a start that failed leaves a container: created if it never ran."""
    return "exited" if container.state.started_at else "created"
