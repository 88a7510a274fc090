"""Containers: list, inspect, create, and everything that changes one."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import container, container_filters, create, filters, host_config, networking, stats
from stackfile.daemon.dockerjson.container import Surroundings
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.errors import NotFoundError
from stackfile.model.container import ContainerRecord, ContainerSpec
from stackfile.model.image import ImageRecord
from stackfile.paths import RunPaths, StatePaths
from stackfile.provider.engine import Engine

table = Table(DOCKER)


@table.get("/containers/json")
async def list_containers(call: Call) -> web.StreamResponse:
    limit = call.number("limit", 0) or 0
    wanted = filters.parse(call.text("filters"))
    records = await call.services.engine.container_list()
    chosen = container_filters.select(records, wanted, show_all=call.flag("all") or limit > 0)
    if limit > 0:
        chosen = chosen[:limit]
    return responses.json(await summaries(call, chosen, size=call.flag("size")))


async def summaries(call: Call, records: Sequence[ContainerRecord], size: bool = False) -> list[dict[str, Any]]:
    """Entries of `containers/json` for these records."""
    engine = call.services.engine
    images = {record.id: record for record in await engine.image_list()}
    mountpoints = {record.name: record.mountpoint for record in await engine.volume_list()}
    now = call.services.now_ns()
    used = {record.id: await engine.container_usage(record.id) for record in records} if size else {}
    return [
        container.summary(
            record, _around(call, record, images.get(record.spec.image), mountpoints), now, used.get(record.id)
        )
        for record in records
    ]


@table.get("/containers/{id}/json")
async def inspect(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    record = await engine.container_get(call.path["id"])
    image = await _image_or_none(engine, record.spec.image)
    mountpoints = await _mountpoints(engine, record.volumes.values())
    lower = tuple(layer.directory for layer in engine.image_layers(image.id)) if image else ()
    answer = container.inspect(record, replace(_around(call, record, image, mountpoints), lower=lower))
    if call.flag("size"):
        used = await engine.container_usage(record.id)
        answer |= {"SizeRw": used, "SizeRootFs": (image.size if image else 0) + used}
    return responses.json(answer)


def _around(
    call: Call, record: ContainerRecord, image: ImageRecord | None, mountpoints: dict[str, str]
) -> Surroundings:
    settings = call.services.settings
    return Surroundings(
        image=image,
        mountpoints=mountpoints,
        engine_id=call.services.engine_id,
        host_name=platform.node(),
        state_dir=StatePaths(settings.root).container(record.id),
        run_dir=RunPaths(settings.run).container(record.id),
    )


async def _image_or_none(engine: Engine, image: str) -> ImageRecord | None:
    try:
        return await engine.image_get(image)
    except NotFoundError:
        # An image may be removed by force while its containers stay.
        return None


async def _mountpoints(engine: Engine, names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = (await engine.volume_get(name)).mountpoint
        except NotFoundError:
            found[name] = ""
    return found


# ---- create


@table.post("/containers/create")
async def create_container(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    spec = create.decode(await call.json(), call.text("name"))
    spec = await resolved(engine, spec)
    identity = await engine.container_create(spec)
    return responses.json({"Id": identity, "Warnings": []}, 201)


async def resolved(engine: Engine, spec: ContainerSpec) -> ContainerSpec:
    """The spec with its image as an id and its networks by name. Raises NotFoundError."""
    image = await engine.image_get(spec.image)
    networks = [
        item if item.network in networking.DEFAULT_MODES
        else replace(item, network=(await engine.network_get(item.network)).name)
        for item in spec.networks
    ]  # fmt: skip
    mode = spec.network_mode
    if networking.is_network(mode):
        mode = (await engine.network_get(mode)).name
    return replace(
        spec, image=image.id, image_name=spec.image_name or spec.image, networks=tuple(networks), network_mode=mode
    )


# ---- change


@table.post("/containers/{id}/start")
async def start(call: Call) -> web.StreamResponse:
    started = await call.services.engine.container_start(call.path["id"])
    return responses.empty(204 if started else 304)


@table.post("/containers/{id}/stop")
async def stop(call: Call) -> web.StreamResponse:
    stopped = await call.services.engine.container_stop(
        call.path["id"], timeout=_grace(call), signal=call.text("signal")
    )
    return responses.empty(204 if stopped else 304)


@table.post("/containers/{id}/restart")
async def restart(call: Call) -> web.StreamResponse:
    await call.services.engine.container_restart(call.path["id"], timeout=_grace(call), signal=call.text("signal"))
    return responses.empty()


def _grace(call: Call) -> float | None:
    """`t`, in seconds; negative waits for ever."""
    seconds = call.decimal("t")
    if seconds is None:
        return None
    return seconds if seconds >= 0 else 31_536_000.0


@table.post("/containers/{id}/kill")
async def kill(call: Call) -> web.StreamResponse:
    await call.services.engine.container_kill(call.path["id"], call.text("signal") or "SIGKILL")
    return responses.empty()


@table.post("/containers/{id}/pause")
async def pause(call: Call) -> web.StreamResponse:
    await call.services.engine.container_pause(call.path["id"])
    return responses.empty()


@table.post("/containers/{id}/unpause")
async def unpause(call: Call) -> web.StreamResponse:
    await call.services.engine.container_unpause(call.path["id"])
    return responses.empty()


@table.post("/containers/{id}/rename")
async def rename(call: Call) -> web.StreamResponse:
    await call.services.engine.container_rename(call.path["id"], call.text("name").removeprefix("/"))
    return responses.empty()


@table.post("/containers/{id}/resize")
async def resize(call: Call) -> web.StreamResponse:
    await call.services.engine.container_resize(call.path["id"], call.number("h", 0) or 0, call.number("w", 0) or 0)
    return responses.empty(200)


@table.post("/containers/{id}/update")
async def update(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    record = await engine.container_get(call.path["id"])
    body = await call.json()
    spec = record.spec
    limits = host_config.resources(body)
    # Zero leaves a limit as it is.
    changed = {name: value for name in limits.__slots__ if (value := getattr(limits, name))}
    spec = replace(spec, resources=replace(spec.resources, **changed))
    if (body.get("RestartPolicy") or {}).get("Name"):
        spec = replace(spec, restart=host_config.restart_policy(body))
    await engine.container_update(record.id, spec)
    return responses.json({"Warnings": []})


@table.delete("/containers/{id}")
async def remove(call: Call) -> web.StreamResponse:
    await call.services.engine.container_remove(call.path["id"], force=call.flag("force"), volumes=call.flag("v"))
    return responses.empty()


@table.post("/containers/prune")
async def prune(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    wanted = filters.parse(call.text("filters"))
    stopped = [record for record in await engine.container_list() if not record.state.running]
    chosen = [
        record for record in stopped
        if all(filters.has_label(record.spec.labels, label) for label in wanted.get("label", ()))
    ]  # fmt: skip
    space = 0
    for record in chosen:
        space += await engine.container_usage(record.id)
        await engine.container_remove(record.id)
    return responses.json({"ContainersDeleted": [record.id for record in chosen] or None, "SpaceReclaimed": space})


# ---- look


@table.get("/containers/{id}/top")
async def top(call: Call) -> web.StreamResponse:
    titles, rows = await call.services.engine.container_top(call.path["id"], call.text("ps_args"))
    return responses.json({"Titles": titles, "Processes": rows})


@table.get("/containers/{id}/stats", stream=True)
async def usage(call: Call) -> web.StreamResponse:
    """One sample a second; `stream=0` one sample with the one before, `one-shot=1` without."""
    engine = call.services.engine
    record = await engine.container_get(call.path["id"])
    if not record.state.running:
        return responses.json(stats.nothing(record))
    if not call.flag("stream", True):
        before = None
        if not call.flag("one-shot"):
            before = await engine.container_stats(record.id)
            await asyncio.sleep(1)
        return responses.json(stats.encode(record, await engine.container_stats(record.id), before))
    response = await responses.stream(call.request, "application/json")
    before = None
    while record.state.running:
        now = await engine.container_stats(record.id)
        await response.write(responses.line(stats.encode(record, now, before)))
        before = now
        await asyncio.sleep(1)
        try:
            record = await engine.container_get(record.id)
        except NotFoundError:
            break
    return response
