"""Taking away what ended runs leave: soon, not at once, so that whoever waits for an end is served first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stackfile.engines.embedded.background import spawn

_SOON = 0.02
"""Seconds for which a clean-up keeps out of the way of those who wait for the end."""


class Cleanups:
    """Clean-ups under way, one for a key at a time."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._hurry: dict[str, asyncio.Event] = {}
        self._after: dict[str, list[Callable[[], None]]] = {}

    @property
    def pending(self) -> bool:
        return bool(self._tasks)

    @property
    def keys(self) -> set[str]:
        """What is being cleaned up now."""
        return set(self._tasks)

    def begin(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` in the background. Nothing for `key` may be under way."""
        assert key not in self._tasks, key
        self._hurry[key] = asyncio.Event()
        self._tasks[key] = spawn(self._run(key, work), f"clean-up of {key[:12]}")

    def afterwards(self, key: str, action: Callable[[], None]) -> None:
        """Do `action` when nothing is under way for `key` any more: perhaps now."""
        if key in self._tasks:
            self._after.setdefault(key, []).append(action)
        else:
            action()

    async def finish(self, key: str) -> None:
        """Until what was begun for `key` is done; without a delay now."""
        task = self._tasks.get(key)
        if task is not None:
            self._hurry[key].set()
            await asyncio.shield(task)

    async def drain(self) -> None:
        """Until everything is done."""
        for key in list(self._tasks):
            await self.finish(key)

    async def _run(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            try:
                async with asyncio.timeout(_SOON):
                    await self._hurry[key].wait()
            except TimeoutError:
                pass
            await work()
        finally:
            del self._tasks[key], self._hurry[key]
            for action in self._after.pop(key, ()):
                action()
