"""The engine's processes."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.supervisor.condition import described

table = Table(OURS)


@table.get("/processes")
async def processes(call: Call) -> web.StreamResponse:
    return responses.json([described(row) for row in call.services.processes()])
