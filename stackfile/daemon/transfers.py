"""Pulls and loads as streams of their progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from stackfile.model.image import Transfer
from stackfile.provider.engine import Transferred
from stackfile.refusals import understood

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """The last of a stream: what came of it."""

    result: T


async def follow(work: Callable[[Transferred], Awaitable[T]]) -> AsyncGenerator[Transfer | Ended[T], None]:
    """The progress of `work` as it comes, then its result; raises its error. Closed early, the work is cancelled."""
    queue: asyncio.Queue[Transfer | None] = asyncio.Queue()

    async def run() -> T:
        try:
            return await work(queue.put_nowait)
        except OSError as error:
            # By its reason: in a stream that has begun only errors of ours are told.
            raise understood(error) from error
        finally:
            queue.put_nowait(None)

    task = asyncio.ensure_future(run())
    try:
        while (progress := await queue.get()) is not None:
            yield progress
        yield Ended(await task)
    finally:
        if not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
