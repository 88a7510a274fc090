"""The live connection to an exec: pipes or a terminal of ours, read only as fast as the other side takes it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from stackfile.engines.embedded import readiness
from stackfile.engines.embedded.background import spawn
from stackfile.provider.engine import LogChunk

_QUEUED = 16
"""Pieces of output that may wait for the other side."""


class ProcessStreams:
    """Implements `provider.engine.Streams`. Owns its descriptors."""

    def __init__(self, *, tty: bool, outputs: dict[int, int], stdin: int | None, ended: asyncio.Future[int]) -> None:
        """`outputs`: stream number → descriptor (non-blocking). `ended`: set when the process has ended."""
        self.tty = tty
        self._outputs = outputs
        self._stdin = stdin
        self._ended = ended
        self._closed = False
        self._queue: asyncio.Queue[LogChunk | None] = asyncio.Queue(_QUEUED)
        self._pumps = [asyncio.ensure_future(self._pump(stream, fd)) for stream, fd in outputs.items()]
        self._open = len(self._pumps)
        """Streams whose end was not given out yet."""

    async def output(self) -> AsyncIterator[LogChunk]:
        """Output until the process has ended and everything it wrote was given."""
        while self._open:
            chunk = await self._queue.get()
            if chunk is None:
                self._open -= 1
            else:
                yield chunk
        # So that who has read everything can ask for the exit code.
        await asyncio.shield(self._ended)

    async def write(self, data: bytes) -> None:
        """Send to stdin; what nobody will read is dropped."""
        if self._stdin is None:
            return
        try:
            await self._until_ended(readiness.write_all(self._stdin, data))
        except OSError:
            await self.close_stdin()

    async def close_stdin(self) -> None:
        """End of file on stdin. A terminal stays open: it is its output too."""
        descriptor, self._stdin = self._stdin, None
        if descriptor is not None and descriptor not in self._outputs.values():
            os.close(descriptor)

    async def close(self) -> None:
        """Let go of the process. One that has not ended goes on, as under Docker: what it writes is dropped."""
        await self.close_stdin()
        if self._closed:
            return
        self._closed = True
        if not self._ended.done():
            spawn(self._discard(), "output of an exec whose client has left")
            return
        await self._release()

    async def _discard(self) -> None:
        try:
            async for _ in self.output():
                continue
        finally:
            await self._release()

    async def _release(self) -> None:
        for pump in self._pumps:
            pump.cancel()
        try:
            await asyncio.gather(*self._pumps, return_exceptions=True)
        finally:
            # Also when the caller is cancelled meanwhile: clients that have read the end leave at this very moment.
            outputs, self._outputs = self._outputs, {}
            for descriptor in outputs.values():
                os.close(descriptor)

    async def _pump(self, stream: int, descriptor: int) -> None:
        while True:
            data = readiness.read_now(descriptor)
            if data is None:
                if self._ended.done():
                    # A child in the background may keep the pipe open for ever: what is there by now is all.
                    break
                await self._until_ended(readiness.readable(descriptor))
            elif not data:
                break
            else:
                await self._queue.put(LogChunk(stream, time.time_ns(), data))
        await self._queue.put(None)

    async def _until_ended(self, waiting: Coroutine[None, None, None]) -> None:
        """Wait for something, or for the end of the process."""
        task = asyncio.ensure_future(waiting)
        try:
            waited: set[asyncio.Future[Any]] = {task, self._ended}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
        finally:
            task.cancel()
