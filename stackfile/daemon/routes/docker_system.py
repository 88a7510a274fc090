"""`version`, `info`, `system/df`."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import image, system, times, volume
from stackfile.daemon.routes.docker_containers import summaries
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.errors import ActionError

table = Table(DOCKER)


@table.get("/version")
async def version(call: Call) -> web.StreamResponse:
    return responses.json(system.version(await call.services.engine.info()))


@table.get("/info")
async def info(call: Call) -> web.StreamResponse:
    value = await call.services.engine.info()
    return responses.json(system.info(value, times.rfc3339(call.services.now_ns())))


@table.get("/system/df")
async def disk_usage(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    images = await engine.image_list()
    return responses.json(
        {
            "LayersSize": sum(record.size for record in images),
            "Images": [image.summary(record) for record in images],
            "Containers": await summaries(call, await engine.container_list(), size=True),
            "Volumes": [
                volume.encode(record) | {"UsageData": {"Size": -1, "RefCount": -1}}
                for record in await engine.volume_list()
            ],
            "BuildCache": [],
            "BuilderSize": 0,
        }
    )


@table.post("/auth")
async def login(call: Call) -> web.StreamResponse:
    raise ActionError("bad-request", "this engine has no registry to log in to")
