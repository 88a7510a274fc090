"""Several things at once, without leaving one behind when another fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def finish_all(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Let all of them end, then raise the first error (in their order), if there was one. For effects."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


async def all_or_none(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, or the first error at once; then the rest is cancelled. For waits."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
