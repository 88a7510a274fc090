"""The engine becomes another version's."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

import stackfile
from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table

table = Table(OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeRequest:
    """`python` is the path of the interpreter that has the newer version."""

    python: str


@table.post("/upgrade")
async def upgrade(call: Call) -> web.StreamResponse:
    """Waits for jobs. The answer comes before the end of this daemon; the next one serves at the same socket."""
    request = await call.read(UpgradeRequest)
    version = await call.services.upgrade(request.python)
    return responses.json({"from": stackfile.__version__, "to": version}, 202)
