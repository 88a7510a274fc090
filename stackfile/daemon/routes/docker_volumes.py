"""Volumes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import filters, volume
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.errors import ConflictError, NotFoundError
from stackfile.model.container import ContainerRecord

table = Table(DOCKER)


def _used(containers: Sequence[ContainerRecord]) -> frozenset[str]:
    return frozenset(name for record in containers for name in record.volumes.values())


@table.get("/volumes")
async def list_volumes(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    used = _used(await engine.container_list())
    records = volume.select(await engine.volume_list(), filters.parse(call.text("filters")), used)
    return responses.json({"Volumes": [volume.encode(record) for record in records], "Warnings": None})


@table.post("/volumes/create")
async def create(call: Call) -> web.StreamResponse:
    """Creating one that exists already answers with it."""
    engine = call.services.engine
    spec = volume.decode(await call.json(), secrets.token_hex(32))
    try:
        record = await engine.volume_get(spec.name)
    except NotFoundError:
        record = await engine.volume_create(spec)
    return responses.json(volume.encode(record), 201)


@table.get("/volumes/{name}")
async def inspect(call: Call) -> web.StreamResponse:
    return responses.json(volume.encode(await call.services.engine.volume_get(call.path["name"])))


@table.delete("/volumes/{name}")
async def remove(call: Call) -> web.StreamResponse:
    try:
        await call.services.engine.volume_remove(call.path["name"])
    except NotFoundError:
        if not call.flag("force"):
            raise
    return responses.empty()


@table.post("/volumes/prune")
async def prune(call: Call) -> web.StreamResponse:
    """Unused anonymous volumes; with the filter `all=true` named ones too."""
    engine = call.services.engine
    wanted = filters.parse(call.text("filters"))
    named_too = any(filters.is_true(value) for value in wanted.pop("all", ()))
    used = _used(await engine.container_list())
    deleted: list[str] = []
    space = 0
    for record in volume.select(await engine.volume_list(), wanted, used):
        if record.name in used or not (record.anonymous or named_too):
            continue
        try:
            size = await engine.volume_usage(record.name)
            await engine.volume_remove(record.name)
        except (ConflictError, NotFoundError):
            # Somebody took or removed it meanwhile.
            continue
        deleted.append(record.name)
        space += size
    return responses.json({"VolumesDeleted": deleted, "SpaceReclaimed": space})
