"""Small pieces of output, written together while the reader keeps up, with back-pressure when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

LIMIT = 256 * 1024
"""Bytes that wait for a slow reader before the producer waits too."""


class Batch:
    """Collects bytes; a task hands them to `write` as fast as it takes them. Use as an async context manager."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        self._write = write
        self._buffer = bytearray()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    async def add(self, data: bytes) -> None:
        """Raises what `write` raised (ConnectionError when the reader has gone)."""
        assert self._task is not None
        self._buffer += data
        self._filled.set()
        while len(self._buffer) >= LIMIT and not self._task.done():
            self._emptied.clear()
            await self._emptied.wait()
        if self._task.done():
            self._task.result()

    async def _pump(self) -> None:
        try:
            while self._buffer or not self._ended:
                await self._filled.wait()
                self._filled.clear()
                data = bytes(self._buffer)
                self._buffer.clear()
                self._emptied.set()
                if data:
                    await self._write(data)
        finally:
            self._emptied.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._pump())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        assert self._task is not None
        if kind is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            return
        self._ended = True
        self._filled.set()
        await self._task
