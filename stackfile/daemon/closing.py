"""Sources of streams, let go at once when the stream ends early."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close `items` at the end where it is a generator: one that is left in the middle keeps its files and watches
    until the garbage collector comes by, and in an idle daemon that may be never.

    Not `contextlib.aclosing`: an engine promises an iterator, and only a generator can be closed.
    """
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()
