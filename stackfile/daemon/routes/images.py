"""Images as the model has them."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table

table = Table(OURS)


@table.get("/images")
async def list_images(call: Call) -> web.StreamResponse:
    return responses.json(list(await call.services.engine.image_list()))


@table.get("/images/{name*}")
async def get(call: Call) -> web.StreamResponse:
    return responses.json(await call.services.engine.image_get(call.path["name"]))
