"""The stream `events` of Docker's family."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import event, filters, times
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.model.event import Event
from stackfile.provider.engine import Engine

table = Table(DOCKER)


@table.get("/events", stream=True)
async def events(call: Call) -> web.StreamResponse:
    wanted = filters.parse(call.text("filters"))
    since_ns, until_ns = times.timestamp(call.text("since")), times.timestamp(call.text("until"))
    over = bool(until_ns) and until_ns <= call.services.now_ns()
    response = await responses.stream(call.request, "application/json")
    async for item in since_time(call.services.engine, since_ns, until_ns, follow=not over):
        if event.passes(item, wanted):
            await response.write(responses.line(event.encode(item)))
    return response


async def since_time(engine: Engine, since_ns: int, until_ns: int, *, follow: bool) -> AsyncIterator[Event]:
    """Stored events from `since_ns` on, then the coming ones; without `since_ns` the coming ones alone."""
    last = 0
    if since_ns:
        async for item in engine.events(since=0, follow=False):
            last = item.sequence
            if since_ns <= item.time_ns and (not until_ns or item.time_ns <= until_ns):
                yield item
    if follow:
        async for item in engine.events(since=last, follow=True, until_ns=until_ns):
            yield item
