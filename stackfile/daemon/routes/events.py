"""The bus of events, resumable by sequence number."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.model import labels
from stackfile.model.event import Event

table = Table(OURS)


@table.get("/events", stream=True)
async def events(call: Call) -> web.StreamResponse:
    project = call.text("project")
    response = await responses.stream(call.request, responses.NDJSON)
    async for event in call.services.engine.events(since=call.number("since", 0) or 0, follow=call.flag("follow")):
        if not project or _project(event) == project:
            await response.write(responses.line(event))
    return response


def _project(event: Event) -> str:
    return event.id if event.kind == "project" else event.attributes.get(labels.PROJECT, "")
