"""Containers as the model has them."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routes.docker_containers import resolved
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.model.container import ContainerSpec

table = Table(OURS)


@table.get("/containers")
async def list_containers(call: Call) -> web.StreamResponse:
    return responses.json(list(await call.services.engine.container_list(project=call.text("project"))))


@table.get("/containers/{id}")
async def get(call: Call) -> web.StreamResponse:
    return responses.json(await call.services.engine.container_get(call.path["id"]))


@table.post("/containers")
async def create(call: Call) -> web.StreamResponse:
    """A spec whose `image` may be a reference."""
    engine = call.services.engine
    spec = await resolved(engine, await call.read(ContainerSpec))
    return responses.json({"id": await engine.container_create(spec)}, 201)
