"""Restart policies, health checks and waiting for health, for every container, whoever made it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from stackfile import log
from stackfile.engines.embedded import clock, restarts
from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.execs import Execs
from stackfile.engines.embedded.health import OUTPUT, Machine, argv, effective
from stackfile.engines.embedded.labelled import attributes
from stackfile.engines.embedded.ports import Ports
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.errors import ActionError, StackfileError
from stackfile.model.container import Health, HealthLogEntry
from stackfile.model.image import ImageConfig

_LOG = log.get("supervise")
_HOPELESS = 3
"""Restarts after which waiting for health gives up."""


class Supervision:
    """Keeps containers running by their policy and healthy by their check."""

    def __init__(
        self,
        registry: Registry,
        execs: Execs,
        ports: Ports,
        bus: Bus,
        image: Callable[[Container], ImageConfig],
    ) -> None:
        self._registry = registry
        self._execs = execs
        self._ports = ports
        self._bus = bus
        self._image = image
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._restarts: dict[str, asyncio.Task[None]] = {}

    # ---- restarts

    def wants_restart(self, container: Container, exit_code: int) -> bool:
        """Whether a container that just ended starts again."""
        return restarts.wants_restart(
            container.spec.restart,
            exit_code=exit_code,
            count=container.state.restart_count,
            stop_requested=container.state.stopped_by_user,
        )

    def restart_later(self, container: Container, uptime: float, start: Callable[[], Awaitable[None]]) -> None:
        """It is restarting: `start` is called after the back-off that its history asks for. `uptime` in seconds."""
        delay = restarts.next_delay(container.state.restart_delay, uptime)
        self._registry.set_state(container, status="restarting", restart_delay=delay)
        self.restart_after(container, delay, start)

    def restart_after(self, container: Container, delay: float, start: Callable[[], Awaitable[None]]) -> None:
        """Call `start` after `delay` seconds."""
        self._restarts[container.id] = spawn(self._restart(container, delay, start), f"restart of {container.name}")

    def cancel_restart(self, container: Container) -> None:
        """Forget a restart that is due, unless it is the caller."""
        task = self._restarts.pop(container.id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _restart(self, container: Container, delay: float, start: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(delay)
        try:
            await start()
        except StackfileError as error:
            _LOG.warning("%s does not start again: %s", container.name, error)
        finally:
            if self._restarts.get(container.id) is asyncio.current_task():
                del self._restarts[container.id]

    # ---- health

    def watch(self, container: Container) -> None:
        """Begin (or, for another check, begin again) to probe a running container."""
        self.unwatch(container)
        image = self._image(container)
        check = effective(container.spec.healthcheck, image.healthcheck)
        if check is None:
            self._set(container, Health())
            return
        known = container.state.health
        since = clock.parse(container.state.started_at)
        age = max(0.0, (clock.now_ns() - since) / 1e9) if since else 0.0
        machine = Machine(check, time.monotonic() - age)
        if known.status in ("healthy", "unhealthy"):
            machine.health = known
        self._set(container, machine.health)
        command = argv(check, image.shell)
        self._probes[container.id] = spawn(self._probe(container, machine, command), f"health of {container.name}")

    def unwatch(self, container: Container) -> None:
        """Stop probing."""
        task = self._probes.pop(container.id, None)
        if task is not None:
            task.cancel()

    async def _probe(self, container: Container, machine: Machine, command: tuple[str, ...]) -> None:
        if machine.health.status != "starting":
            await asyncio.sleep(machine.interval)
        while True:
            if container.state.status == "running":
                entry = await self._ask(container, machine, command)
                if machine.observe(entry, time.monotonic()):
                    self._bus.publish(
                        "container", f"health_status: {machine.health.status}", container.id, attributes(container)
                    )
                self._set(container, machine.health)
            await asyncio.sleep(machine.delay(time.monotonic()))

    async def _ask(self, container: Container, machine: Machine, command: tuple[str, ...]) -> HealthLogEntry:
        start = clock.now_ns()
        try:
            code, output = await self._execs.capture(container, command, timeout=machine.timeout, limit=OUTPUT)
        except StackfileError as error:
            code, output = -1, str(error)
        return HealthLogEntry(
            start=clock.rfc3339(start), end=clock.rfc3339(clock.now_ns()), exit_code=code, output=output
        )

    def _set(self, container: Container, health: Health) -> None:
        if container.state.health == health:
            return
        before = container.state.health.status
        self._registry.set_state(container, health=health)
        if before != health.status:
            self._ports.refresh(container)

    # ---- waiting

    async def wait_healthy(self, container: Container, timeout: float) -> None:
        """Until healthy; running is enough without a health check.

        ActionError: `unhealthy` with the last probe's output, `exited-early`, `timeout`.
        """
        before = container.state.restart_count
        try:
            async with asyncio.timeout(timeout):
                while not _settled(container, before):
                    await container.changed.wait()
        except TimeoutError as error:
            raise ActionError(
                "timeout",
                f"container {container.name} is not healthy after {timeout:g} s",
                cause=_last_output(container),
            ) from error

    def close(self) -> None:
        """Stop all probes and restarts that are due; containers are left as they are."""
        for task in (*self._probes.values(), *self._restarts.values()):
            task.cancel()


def _settled(container: Container, restarts_before: int) -> bool:
    """Whether the wait is over; raises when it is over in vain."""
    state = container.state
    crashing = state.status == "restarting" and state.restart_count - restarts_before >= _HOPELESS
    if container.removed or crashing or state.status in ("exited", "dead", "removing"):
        code = f"exit code {state.exit_status.words}" if state.exit_known else "its end was not observed"
        raise ActionError(
            "exited-early",
            f"container {container.name} exited",
            cause=state.error or code,
            hint=f"see: stackfile logs {container.service or container.name}",
            details={"exit_code": state.exit_code},
        )
    if state.health.status == "unhealthy":
        raise ActionError("unhealthy", f"container {container.name} is unhealthy", cause=_last_output(container))
    return state.status == "running" and state.health.status in ("none", "healthy")


def _last_output(container: Container) -> str:
    log_entries = container.state.health.log
    return log_entries[-1].output.strip() if log_entries else ""
