"""Work that is done once for all who want it."""

from __future__ import annotations

import asyncio

import pytest

from stackfile.engines.embedded.shared import Shared


class Work:
    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.cancelled = 0

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.begun


def test_once_for_all() -> None:
    async def run() -> None:
        shared: Shared[int] = Shared()
        work = Work()
        tasks = [asyncio.ensure_future(shared.run("key", work)) for _ in range(3)]
        await asyncio.sleep(0)
        work.gate.set()
        assert await asyncio.gather(*tasks) == [1, 1, 1]
        assert await shared.run("key", work) == 2, "what is finished is done again"

    asyncio.run(run())


def test_one_who_leaves_does_not_stop_it_the_last_one_does() -> None:
    async def run() -> None:
        shared: Shared[int] = Shared()
        work = Work()
        first, second = (asyncio.ensure_future(shared.run("key", work)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        assert work.cancelled == 0
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await asyncio.sleep(0)
        assert work.cancelled == 1
        again = asyncio.ensure_future(shared.run("key", work))
        await asyncio.sleep(0)
        work.gate.set()
        assert await again == 2

    asyncio.run(run())


def test_its_error_is_everybodys() -> None:
    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def run() -> None:
        shared: Shared[int] = Shared()
        results = await asyncio.gather(*(shared.run("key", fail) for _ in range(2)), return_exceptions=True)
        assert [type(result) for result in results] == [ValueError, ValueError]
        with pytest.raises(ValueError, match="no"):
            await shared.run("key", fail)

    asyncio.run(run())
