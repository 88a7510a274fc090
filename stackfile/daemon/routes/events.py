"""The bus of events, resumable by sequence number."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routes.docker_events import since_time
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.model import labels
from stackfile.model.event import Event

table = Table(OURS)


@table.get("/events", stream=True)
async def events(call: Call) -> web.StreamResponse:
    """Above a sequence number (`since`), or from a time on (`since_ns`, `until_ns`); of a `project`, of `service`s."""
    project, wanted = call.text("project"), call.request.query.getall("service", [])
    response = await responses.stream(call.request, responses.NDJSON)
    async for event in _chosen(call):
        if _concerns(event, project, wanted):
            await response.write(responses.line(event))
    return response


def _chosen(call: Call) -> AsyncIterator[Event]:
    engine, follow = call.services.engine, call.flag("follow")
    since_ns, until_ns = call.number("since_ns", 0) or 0, call.number("until_ns", 0) or 0
    if since_ns or until_ns:
        coming = follow and not (until_ns and until_ns <= call.services.now_ns())
        return since_time(engine, since_ns or 1, until_ns, follow=coming)
    return engine.events(since=call.number("since", 0) or 0, follow=follow)


def _concerns(event: Event, project: str, services: Sequence[str]) -> bool:
    """What the daemon tells of itself (events that it has no more) concerns everybody."""
    if event.kind == "daemon":
        return True
    if project and _project(event) != project:
        return False
    return not services or event.attributes.get(labels.SERVICE) in services


def _project(event: Event) -> str:
    return event.id if event.kind == "project" else event.attributes.get(labels.PROJECT, "")
