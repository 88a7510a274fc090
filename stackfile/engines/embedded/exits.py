"""Where the shim's reports of ended processes go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.execs import Execs
from stackfile.engines.embedded.lifecycle import Lifecycle
from stackfile.engines.embedded.registry import Registry
from stackfile.engines.embedded.runner import Runner
from stackfile.runtime.shim_client import Exit, ShimClient


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
        self._held: list[Exit] | None = []
        self._tasks: set[asyncio.Task[None]] = set()

    def connect(self, receivers: Receivers) -> None:
        self._receivers = receivers

    def arrived(self, end: Exit) -> None:
        """The callback of ShimClient."""
        if self._held is not None:
            self._held.append(end)
            return
        task = spawn(self._hand_out(end), f"end of {end.container[:12]} {end.exec_id[:12]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def release(self) -> None:
        """Hand out what was held back, and from now on everything as it comes."""
        held, self._held = self._held or [], None
        for end in held:
            await spawn(self._hand_out(end), f"end of {end.container[:12]} {end.exec_id[:12]}")

    async def drain(self) -> None:
        """Until every report that arrived is dealt with."""
        while self._tasks:
            await asyncio.wait(self._tasks)

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
