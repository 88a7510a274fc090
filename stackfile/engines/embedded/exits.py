"""Where the shim's reports of ended processes go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.execs import Execs
from stackfile.engines.embedded.lifecycle import Lifecycle
from stackfile.engines.embedded.registry import Registry
from stackfile.engines.embedded.runner import Runner
from stackfile.runtime.shim_client import Exit, OutOfMemory, ShimClient


@dataclass(frozen=True, slots=True)
class Receivers:
    """Whose processes may end."""

    shim: ShimClient
    registry: Registry
    lifecycle: Lifecycle
    execs: Execs
    runner: Runner


class ExitRouter:
    """Takes reports from the first moment on; hands them out once `release` says that recovery has come so far."""

    def __init__(self) -> None:
        self._receivers: Receivers | None = None
        self._held: list[Exit | OutOfMemory] | None = []
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self, receivers: Receivers) -> None:
        self._receivers = receivers

    def arrived(self, report: Exit | OutOfMemory) -> None:
        """The callback of ShimClient."""
        if self._held is not None:
            self._held.append(report)
            return
        task = self._spawn(report)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def release(self) -> None:
        """Hand out what was held back, and from now on everything as it comes."""
        held, self._held = self._held or [], None
        for report in held:
            await self._spawn(report)

    async def drain(self) -> None:
        """Until every report that arrived is dealt with."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, report: Exit | OutOfMemory) -> asyncio.Task[None]:
        if isinstance(report, OutOfMemory):
            return spawn(self._out_of_memory(report), f"out of memory in {report.container[:12]}")
        return spawn(self._hand_out(report), f"end of {report.container[:12]} {report.exec_id[:12]}")

    async def _out_of_memory(self, report: OutOfMemory) -> None:
        assert self._receivers is not None
        container = self._receivers.registry.get(report.container)
        if container is not None:
            await self._receivers.lifecycle.out_of_memory(container, report.kills)

    async def _hand_out(self, end: Exit) -> None:
        parts = self._receivers
        assert parts is not None
        if end.exec_id:
            parts.execs.exited(end)
            await parts.shim.acknowledge(end)
        elif parts.runner.exited(end):
            await parts.shim.acknowledge(end)
        elif (container := parts.registry.get(end.container)) is not None:
            await parts.lifecycle.ended(container, end)
        else:
            await parts.shim.acknowledge(end)
            await parts.runner.sweep(end.container)
