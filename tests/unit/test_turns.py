"""Turns: in order, told, and not waited for for ever."""

from __future__ import annotations

import asyncio

import pytest

from stackfile.errors import ActionError
from stackfile.turns import FOR_EVER, Turn


def test_one_at_a_time_and_who_waits_hears_for_whom() -> None:
    async def main() -> None:
        turn, order, told = Turn(), [0][1:], [""][1:]

        async def work(number: int) -> None:
            async with turn.take("cache c", f"step {number}", told=told.append):
                order.append(number)
                await asyncio.sleep(0)
                order.append(number)

        await asyncio.gather(*(work(number) for number in range(3)))
        assert order == [0, 0, 1, 1, 2, 2]
        assert told == ["waiting for cache c: step 0 is under way since 0 s"] * 2
        assert not turn.locked()

    asyncio.run(main())


def test_nobody_waits_for_ever() -> None:
    async def main() -> None:
        turn = Turn()
        async with turn.take("container web", "start"):
            with pytest.raises(ActionError) as caught:
                async with turn.take("container web", "stop", patience=0.01):
                    raise AssertionError("two at once")
            assert caught.value.reason == "timeout"
            assert "container web" in caught.value.message
            assert "start" in caught.value.cause
            last = asyncio.create_task(_once(turn))
            await asyncio.sleep(0.01)
            assert not last.done()
        await last
        assert not turn.locked()

    asyncio.run(main())


def test_who_is_cancelled_leaves_the_turn_to_the_next() -> None:
    async def main() -> None:
        turn = Turn()
        async with turn.take("x", "one"):
            waiting = [asyncio.create_task(_once(turn)) for _ in range(2)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        await waiting[1]
        assert waiting[0].cancelled()
        assert not turn.locked()

    asyncio.run(main())


async def _once(turn: Turn) -> None:
    async with turn.take("x", "another", patience=FOR_EVER):
        pass
