"""Several things at once."""

from __future__ import annotations

import asyncio

import pytest

from stackfile.engines.together import all_or_none, finish_all


async def after(seconds: float, done: list[float], *, fail: bool = False) -> float:
    await asyncio.sleep(seconds)
    if fail:
        raise ValueError(seconds)
    done.append(seconds)
    return seconds


def test_effects_are_finished_before_an_error_is_raised() -> None:
    done: list[float] = []

    async def main() -> None:
        await finish_all([after(0, done, fail=True), after(0.02, done)])

    with pytest.raises(ValueError, match="0"):
        asyncio.run(main())
    assert done == [0.02]


def test_waits_end_with_the_first_error() -> None:
    async def main() -> None:
        async with asyncio.timeout(5):
            await all_or_none([after(0, [], fail=True), after(60, [])])

    with pytest.raises(ValueError, match="0"):
        asyncio.run(main())


def test_results_keep_their_order() -> None:
    async def main() -> None:
        assert await finish_all([after(0.01, []), after(0, [])]) == [0.01, 0]
        assert await all_or_none([after(0.01, []), after(0, [])]) == [0.01, 0]

    asyncio.run(main())
