"""The engine's processes."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.supervisor.condition import condition

table = Table(OURS)


@table.get("/processes")
async def processes(call: Call) -> web.StreamResponse:
    return responses.json(
        [
            {
                "name": row.name,
                "pid": row.pid,
                "state": condition(row),
                "started_ns": row.started,
                "restarts": row.restarts,
                "failures": row.failures,
                "last_end": row.last_end,
                "log": row.log,
            }
            for row in call.services.processes()
        ]
    )
