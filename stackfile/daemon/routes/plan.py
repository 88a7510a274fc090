"""What `up` would do."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.model.observed import UpOptions
from stackfile.model.stack import Stack

table = Table(OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    stack: Stack
    options: UpOptions = UpOptions()


@table.post("/plan")
async def plan(call: Call) -> web.StreamResponse:
    request = await call.read(PlanRequest)
    return responses.json(await call.services.reconciler.plan(request.stack, request.options))
