"""Whether a daemon answers, and which: `_ping` for Docker's clients, `ping` for ours."""

from __future__ import annotations

from aiohttp import web

import stackfile
from stackfile.daemon import responses
from stackfile.daemon.routing import DOCKER, OURS, Call, Table

API = 1
"""Number of our API; a client of another number is refused by itself."""

table = Table(DOCKER)
_ours = Table(OURS)


@table.get("/_ping")
@table.add("HEAD", "/_ping")
async def docker_ping(call: Call) -> web.StreamResponse:
    headers = {
        **responses.HEADERS,
        "Cache-Control": "no-cache, no-store, must-revalidate",
        "Pragma": "no-cache",
        "Builder-Version": "1",
        "Swarm": "inactive",
    }
    body = b"" if call.request.method == "HEAD" else b"OK"
    return web.Response(body=body, headers=headers, content_type="text/plain", charset="utf-8")


@_ours.get("/ping")
async def ping(call: Call) -> web.StreamResponse:
    services = call.services
    return responses.json(
        {
            "version": stackfile.__version__,
            "api": API,
            "engine": {"kind": services.engine_kind, "id": services.engine_id},
            "pid": services.pid,
        }
    )


table.routes.extend(_ours.routes)
