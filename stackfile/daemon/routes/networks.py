"""Networks and volumes as the model has them."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import network
from stackfile.daemon.routing import OURS, Call, Table

table = Table(OURS)


@table.get("/networks")
async def list_networks(call: Call) -> web.StreamResponse:
    """All of them, the built-in ones too."""
    services = call.services
    records = await services.engine.network_list(project=call.text("project"))
    return responses.json(list(records) if call.text("project") else network.with_built_in(records, services.engine_id))


@table.get("/volumes")
async def list_volumes(call: Call) -> web.StreamResponse:
    return responses.json(list(await call.services.engine.volume_list(project=call.text("project"))))
