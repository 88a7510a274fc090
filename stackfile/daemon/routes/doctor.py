"""What the machine offers, and how to mend what it does not."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table

table = Table(OURS)


@table.get("/doctor")
async def doctor(call: Call) -> web.StreamResponse:
    rows = await call.services.engine.doctor()
    return responses.json(
        [{"check": check, "status": status, "found": found, "mend": mend} for check, status, found, mend in rows]
    )
