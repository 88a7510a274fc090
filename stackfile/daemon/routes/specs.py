"""The container that a service asks for, without making it: what `run` starts one-off containers from."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.model.stack import Stack

table = Table(OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecRequest:
    stack: Stack
    service: str


@table.post("/specs")
async def spec(call: Call) -> web.StreamResponse:
    """The ContainerSpec of the service's first replica, with the ids of its image and contents as they are now."""
    request = await call.read(SpecRequest)
    return responses.json(await call.services.reconciler.spec(request.stack, request.service))
