"""Work that several want at once and that is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class Shared(Generic[T]):
    """Results by key, while they are being made. What nobody waits for any more is cancelled."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry[T]] = {}

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `work`, or of the same key's work that is under way already; its error too."""
        entry = self._entries.get(key)
        if entry is None:
            entry = _Entry(asyncio.ensure_future(work()))
            self._entries[key] = entry
            entry.task.add_done_callback(lambda _: self._forget(key, entry))
        entry.waiting += 1
        try:
            return await asyncio.shield(entry.task)
        finally:
            entry.waiting -= 1
            if not entry.waiting and not entry.task.done():
                self._forget(key, entry)
                entry.task.cancel()

    def _forget(self, key: str, entry: _Entry[T] | None) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]
