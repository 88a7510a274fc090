"""Docker's API under contention: whoever comes too late gets a 404 or 409, never a 500, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.daemons import Served, served

__all__ = ["served"]
pytestmark = pytest.mark.root

_ROUNDS = 6
"""Names have an x: one of hexadecimal digits alone could begin another container's id."""


class Api:
    """Docker's API, many requests at once."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.bad: list[str] = []

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self._session.request(method, f"http://engine/{path}", json=body) as answer:
            text = await answer.text()
            if answer.status >= 500:
                self.bad.append(f"{method} {path}: {answer.status} {text}")
            return answer.status, json.loads(text) if text.strip() else None

    async def create(self, name: str, **more: Any) -> tuple[int, Any]:
        body = {"Image": "busybox", "Cmd": ["sleep", "600"], "StopSignal": "SIGKILL", **more}
        return await self.ask("POST", f"containers/create?name={name}", body)

    async def together(self, *requests: Awaitable[tuple[int, Any]]) -> list[int]:
        """Statuses, in the order of the requests."""
        return [status for status, _ in await asyncio.gather(*requests)]


def _allowed(statuses: Sequence[int], *allowed: int) -> None:
    assert set(statuses) <= set(allowed), statuses


async def _removed_while_started(api: Api) -> None:
    """Removal by force of a container that is being started ends with no container, whoever was first."""
    await api.create("x-a")
    begun, removed = await api.together(
        api.ask("POST", "containers/x-a/start"), api.ask("DELETE", "containers/x-a?force=1")
    )
    _allowed([begun], 204, 404)
    _allowed([removed], 204)
    assert (await api.ask("GET", "containers/x-a/json"))[0] == 404
    await api.create("x-a")
    begun, removed = await api.together(api.ask("POST", "containers/x-a/start"), api.ask("DELETE", "containers/x-a"))
    assert (begun, removed) in ((204, 409), (404, 204))
    await api.ask("DELETE", "containers/x-a?force=1")


async def _two_stops(api: Api) -> None:
    """Both succeed, or the later one had nothing to do; the same for kills and removals."""
    await api.create("x-s")
    starts = await api.together(*(api.ask("POST", "containers/x-s/start") for _ in range(3)))
    assert sorted(starts) == [204, 304, 304]
    stops = await api.together(*(api.ask("POST", "containers/x-s/stop") for _ in range(3)))
    _allowed(stops, 204, 304)
    kills = await api.together(*(api.ask("POST", "containers/x-s/kill") for _ in range(2)))
    assert kills == [409, 409]
    await api.ask("POST", "containers/x-s/start")
    _allowed(await api.together(*(api.ask("POST", "containers/x-s/kill") for _ in range(3))), 204, 409)
    removals = await api.together(*(api.ask("DELETE", "containers/x-s?force=1") for _ in range(3)))
    assert 204 in removals
    _allowed(removals, 204, 404, 409)


async def _names(api: Api) -> None:
    """Of those who want one name exactly one gets it; what a removed container was named is free again."""
    created = await api.together(*(api.create("x-n") for _ in range(4)))
    assert sorted(created) == [201, 409, 409, 409]
    await api.create("x-m")
    renames = await api.together(*(api.ask("POST", f"containers/x-{name}/rename?name=x-k") for name in "nm"))
    assert sorted(renames) == [204, 409]
    left = "m" if renames[0] == 204 else "n"
    await api.ask("DELETE", f"containers/x-{left}")
    await api.ask("DELETE", "containers/x-k")
    # All wait for the start, which fails; the removal is the next one, and the others find nothing.
    await api.create("x-r", Cmd=["/not/there"])
    statuses = await api.together(
        api.ask("POST", "containers/x-r/start"),
        api.ask("DELETE", "containers/x-r"),
        api.ask("POST", "containers/x-r/rename?name=x-t"),
        api.ask("POST", "networks/bridge/connect", {"Container": "x-r"}),
    )
    # The engine takes them in the order in which they arrive, mostly that of the list.
    _allowed(statuses[:1], 400, 404)
    _allowed(statuses[1:2], 204, 409)
    for name in "rt":
        await api.ask("DELETE", f"containers/x-{name}?force=1")
        assert (await api.create(f"x-{name}"))[0] == 201, name
        await api.ask("DELETE", f"containers/x-{name}")


async def _networks(api: Api) -> None:
    """A network goes only when no container has it, one that is being started on it included."""
    created = await api.together(*(api.ask("POST", "networks/create", {"Name": "net"}) for _ in range(3)))
    assert sorted(created) == [201, 409, 409]
    await api.create("x-c")
    await api.create("x-on", HostConfig={"NetworkMode": "net"})
    await api.ask("POST", "containers/x-c/start")
    statuses = await api.together(
        api.ask("POST", "networks/net/connect", {"Container": "x-c"}),
        api.ask("POST", "containers/x-on/start"),
        api.ask("POST", "networks/net/connect", {"Container": "x-c"}),
        api.ask("DELETE", "networks/net"),
    )
    connected, begun, again, removed = statuses
    _allowed([connected, again], 200, 404, 403, 409)
    _allowed([removed], 204, 403, 409)
    _, networks = await api.ask("GET", "networks")
    there = "net" in [network["Name"] for network in networks]
    assert there == (removed != 204), statuses
    if begun == 204:
        assert there, statuses
    await api.together(
        api.ask("POST", "networks/net/disconnect", {"Container": "x-c"}),
        api.ask("DELETE", "containers/x-c?force=1"),
        api.ask("POST", "networks/net/connect", {"Container": "x-c"}),
        api.ask("DELETE", "containers/x-on?force=1"),
    )
    await api.ask("DELETE", "networks/net")
    assert (await api.ask("GET", "networks/net"))[0] == 404


async def _volumes(api: Api) -> None:
    """A volume is there as long as a container has it."""
    bound = {"Binds": ["vol:/data"]}
    statuses = await api.together(
        *(api.ask("POST", "volumes/create", {"Name": "vol"}) for _ in range(3)),
        api.create("x-v", HostConfig=bound),
        api.ask("DELETE", "volumes/vol"),
        api.create("x-w", HostConfig=bound),
        api.ask("DELETE", "volumes/vol"),
    )
    _allowed(statuses, 201, 204, 404, 409)
    assert (await api.ask("GET", "volumes/vol"))[0] == 200
    started = await api.together(
        api.ask("POST", "containers/x-v/start"),
        api.ask("POST", "containers/x-w/start"),
        api.ask("DELETE", "volumes/vol"),
    )
    assert started == [204, 204, 409]
    await api.together(*(api.ask("DELETE", f"containers/x-{name}?force=1&v=1") for name in "vw"))
    assert (await api.ask("DELETE", "volumes/vol"))[0] == 204


async def _images(api: Api) -> None:
    """An image that a container was made of stays, by whatever name it is removed."""
    await api.ask("POST", "images/busybox/tag?repo=copy&tag=1")
    statuses = await api.together(
        api.create("x-p", Image="copy:1"),
        api.ask("DELETE", "images/copy:1"),
        api.create("x-q", Image="copy:1"),
        api.ask("POST", "images/busybox/tag?repo=copy&tag=1"),
    )
    _allowed(statuses, 200, 201, 404, 409)
    _, found = await api.ask("GET", "images/busybox/json")
    _allowed(await api.together(*(api.ask("DELETE", f"images/{found['Id']}") for _ in range(2))), 409)
    begun = await api.together(*(api.ask("POST", f"containers/x-{name}/start") for name in "pq"))
    _allowed(begun, 204, 404)
    await api.together(*(api.ask("DELETE", f"containers/x-{name}?force=1") for name in "pq"))
    await api.ask("DELETE", "images/copy:1")


async def _ports(api: Api, port: int) -> None:
    """One published port, four containers: exactly one runs."""
    bound = {"PortBindings": {"80/tcp": [{"HostPort": str(port)}]}}
    names = ("p1", "p2", "p3", "p4")
    await asyncio.gather(*(api.create(f"x-{name}", HostConfig=bound, ExposedPorts={"80/tcp": {}}) for name in names))
    before = len(api.bad)
    begun = await api.together(*(api.ask("POST", f"containers/x-{name}/start") for name in names))
    refused = api.bad[before:]
    del api.bad[before:]  # as in Docker, a port that is taken is a 500
    assert sorted(begun) == [204, 500, 500, 500]
    assert all(str(port) in text for text in refused)
    await api.together(*(api.ask("DELETE", f"containers/x-{name}?force=1") for name in names))


async def _readers_leave(session: aiohttp.ClientSession, api: Api) -> None:
    """Clients of a stream that go away in the middle of it are no errors."""
    await api.create("x-log", Cmd=["yes"])
    await api.ask("POST", "containers/x-log/start")
    path = "http://engine/containers/x-log/logs?stdout=1&follow=1"

    async def leave() -> None:
        async with session.get(path) as answer:
            assert await answer.content.readany()
            answer.close()

    for _ in range(5):
        await asyncio.gather(*(leave() for _ in range(6)))
    await api.ask("DELETE", "containers/x-log?force=1")


def test_late_requests_are_refused_and_nothing_breaks(served: Served) -> None:
    events: list[dict[str, Any]] = []

    async def follow(session: aiohttp.ClientSession) -> None:
        async with session.get("http://engine/stackfile/v1/events?follow=1", timeout=aiohttp.ClientTimeout()) as answer:
            async for line in answer.content:
                events.append(json.loads(line))  # noqa: PERF401

    async def main() -> None:
        connector = aiohttp.UnixConnector(served.box.settings.socket, limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            api = Api(session)
            reader = asyncio.ensure_future(follow(session))
            scenes = (_removed_while_started, _two_stops, _names, _networks, _volumes, _images)

            async def repeated(scene: Any) -> None:
                for _ in range(_ROUNDS):
                    await scene(api)

            await asyncio.gather(*(repeated(scene) for scene in scenes))
            await _ports(api, 23411)
            await _readers_leave(session, api)
            assert not api.bad, "\n".join(api.bad)
            assert (await api.ask("GET", "containers/json?all=1"))[1] == []
            await api.ask("POST", "volumes/create", {"Name": "last"})
            async with asyncio.timeout(20):
                while not events or events[-1]["id"] != "last":
                    await asyncio.sleep(0.02)
            reader.cancel()

    asyncio.run(main())
    sequences = [event["sequence"] for event in events]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences))), "a gap or a double"
    written = Path(served.box.settings.run, "daemon.log").read_text()
    assert " ERROR " not in written, written
