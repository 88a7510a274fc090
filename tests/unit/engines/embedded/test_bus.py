"""Events: resumed without gap or double."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackfile.engines.embedded.bus import Bus
from stackfile.store.state import StateStore


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    state = StateStore(str(tmp_path / "state.db"), "id")
    yield Bus(state.events)
    state.close()


async def collect(bus: Bus, count: int, since: int = 0) -> list[int]:
    found: list[int] = []
    async for event in bus.events(since=since):
        found.append(event.sequence)
        if len(found) == count:
            break
    return found


def test_followers_see_everything_from_now_on(bus: Bus) -> None:
    async def scenario() -> None:
        bus.publish("container", "create", "a")
        task = asyncio.ensure_future(collect(bus, 3))
        await asyncio.sleep(0)
        for number in range(3):
            bus.publish("container", "start", str(number))
            await asyncio.sleep(0)
        assert await asyncio.wait_for(task, 5) == [2, 3, 4]

    asyncio.run(scenario())


def test_now_is_when_events_was_called(bus: Bus) -> None:
    async def scenario() -> None:
        stream = bus.events()
        bus.publish("container", "start", "a", {"name": "web"})
        event = await anext(stream)
        assert (event.sequence, event.action, event.attributes) == (1, "start", {"name": "web"})

    asyncio.run(scenario())


def test_resuming_gives_the_rest_and_then_what_comes(bus: Bus) -> None:
    async def scenario() -> None:
        for number in range(2500):
            bus.publish("container", "start", str(number))
        task = asyncio.ensure_future(collect(bus, 2401, since=100))
        await asyncio.sleep(0.05)
        bus.publish("container", "die", "last")
        assert await asyncio.wait_for(task, 10) == list(range(101, 2502))

    asyncio.run(scenario())


def test_what_is_not_kept_any_more_is_counted(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackfile.store.events.KEPT", 100)

    async def scenario() -> None:
        for number in range(1000):
            bus.publish("container", "start", str(number))
        found = [event async for event in bus.events(since=7, follow=False)]
        assert (found[0].kind, found[0].action, found[0].attributes) == ("daemon", "omit", {"events": "893"})
        assert [event.sequence for event in found] == list(range(900, 1001))
        # From where it left off, which is kept, nothing is missing.
        assert [event.sequence async for event in bus.events(since=900, follow=False)] == list(range(901, 1001))

    asyncio.run(scenario())


def test_it_ends_at_a_time_without_following_and_at_close(bus: Bus) -> None:
    async def scenario() -> None:
        bus.publish("container", "start", "a")
        assert [e.sequence async for e in bus.events(follow=False)] == [1]
        until = time.time_ns() + 50_000_000
        assert [e.sequence async for e in bus.events(since=1, until_ns=until)] == []
        task = asyncio.ensure_future(collect(bus, 9))
        await asyncio.sleep(0)
        bus.close()
        assert await asyncio.wait_for(task, 5) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("steps", range(6))
def test_a_follower_that_is_cancelled_in_the_moment_of_an_event_ends(bus: Bus, steps: int) -> None:
    """Whoever's client leaves just then would follow for ever."""

    async def follow() -> None:
        async for _ in bus.events(until_ns=time.time_ns() + 60 * 10**9):
            pass

    async def scenario() -> None:
        task = asyncio.ensure_future(follow())
        await asyncio.sleep(0.01)
        bus.publish("container", "start", "a")
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        _, pending = await asyncio.wait([task], timeout=2)
        ended = not pending
        task.cancel()
        assert ended

    asyncio.run(scenario())
