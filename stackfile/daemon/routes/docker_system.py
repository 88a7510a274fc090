"""`version`, `info`, `system/df`."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import image, system, times, volume
from stackfile.daemon.routes.docker_containers import summaries
from stackfile.daemon.routing import DOCKER, Call, Table

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
    containers = await engine.container_list()
    images = await engine.image_list()
    layers = {record.id: engine.image_layers(record.id) for record in images}
    owners = Counter(layer.chain_id for found in layers.values() for layer in found)
    sizes = {layer.chain_id: layer.size for found in layers.values() for layer in found}
    used = Counter(record.spec.image for record in containers)
    shared = {
        identity: sum(layer.size for layer in found if owners[layer.chain_id] > 1) for identity, found in layers.items()
    }
    mounted = Counter(name for record in containers for name in record.volumes.values())
    return responses.json(
        {
            "LayersSize": sum(sizes.values()),
            "Images": [image.summary(record, used[record.id], shared[record.id]) for record in images],
            "Containers": await summaries(call, containers, size=True),
            "Volumes": [
                volume.encode(record)
                | {"UsageData": {"Size": await engine.volume_usage(record.name), "RefCount": mounted[record.name]}}
                for record in await engine.volume_list()
            ],
            "BuildCache": None,
            "BuilderSize": 0,
        }
    )
