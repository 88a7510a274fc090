"""Pulls as streams: progress, results, errors, clients that leave."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from stackfile.daemon import transfers
from stackfile.daemon.routes.docker_transfers import bar
from stackfile.daemon.transfers import Ended
from stackfile.errors import ActionError
from stackfile.model.image import Transfer
from stackfile.provider.engine import Transferred


def test_progress_then_the_result() -> None:
    async def work(told: Transferred) -> int:
        told(Transfer(status="one"))
        await asyncio.sleep(0)
        told(Transfer(status="two"))
        return 7

    async def run() -> list[object]:
        return [event async for event in transfers.follow(work)]

    assert asyncio.run(run()) == [Transfer(status="one"), Transfer(status="two"), Ended(7)]


def test_an_error_comes_after_the_progress_before_it() -> None:
    async def work(told: Transferred) -> int:
        told(Transfer(status="one"))
        raise ActionError("pull-failed", "no")

    async def run() -> None:
        events = transfers.follow(work)
        assert await anext(events) == Transfer(status="one")
        with pytest.raises(ActionError):
            await anext(events)

    asyncio.run(run())


def test_closed_early_the_work_is_cancelled() -> None:
    ended = []

    async def work(told: Transferred) -> int:
        told(Transfer(status="one"))
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)
        return 0

    async def run() -> None:
        async with aclosing(transfers.follow(work)) as events:
            async for _ in events:
                break
        assert ended == [True]

    asyncio.run(run())


@pytest.mark.parametrize(("current", "drawn"), [(0, ">"), (50, "=" * 25 + ">"), (100, "=" * 50)])
def test_bar(current: int, drawn: str) -> None:
    text = bar(current * 1_000_000, 100_000_000)
    assert text.startswith(f"[{drawn}")
    assert text.index("]") == 51
    assert text.endswith("/100MB")
