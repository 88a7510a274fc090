"""Files of containers: copies in and out, changes, export; and images made of containers."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.closing import closing
from stackfile.daemon.dockerjson import commit, pathstat
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.errors import ActionError
from stackfile.model.image import ImageConfig

table = Table(DOCKER)
_TAR = "application/x-tar"


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise ActionError("bad-request", "bad parameter: path is empty")
    return path


@table.add("HEAD", "/containers/{id}/archive")
async def stat(call: Call) -> web.StreamResponse:
    found = await call.services.engine.container_path(call.path["id"], _path(call))
    return web.Response(headers={**responses.HEADERS, pathstat.HEADER: pathstat.encode(found)})


@table.get("/containers/{id}/archive", stream=True)
async def read(call: Call) -> web.StreamResponse:
    found, data = await call.services.engine.container_read(call.path["id"], _path(call))
    return await _send(call, data, {pathstat.HEADER: pathstat.encode(found)})


@table.add("PUT", "/containers/{id}/archive", stream=True)
async def write(call: Call) -> web.StreamResponse:
    await call.services.engine.container_write(
        call.path["id"],
        _path(call),
        call.request.content.iter_any(),
        keep_types=call.flag("noOverwriteDirNonDir"),
        own=call.flag("copyUIDGID"),
    )
    return responses.empty(200)


@table.get("/containers/{id}/changes")
async def changes(call: Call) -> web.StreamResponse:
    found = await call.services.engine.container_changes(call.path["id"])
    return responses.json([{"Path": path, "Kind": kind} for kind, path in found] or None)


@table.get("/containers/{id}/export", stream=True)
async def export(call: Call) -> web.StreamResponse:
    return await _send(call, await call.services.engine.container_export(call.path["id"]), {})


async def _send(call: Call, data: AsyncIterator[bytes], headers: dict[str, str]) -> web.StreamResponse:
    response = web.StreamResponse(headers={**responses.HEADERS, **headers, "Content-Type": _TAR})
    response.enable_chunked_encoding()
    await response.prepare(call.request)
    async with closing(data) as chunks:
        async for chunk in chunks:
            await response.write(chunk)
    return response


@table.post("/commit")
async def make_image(call: Call) -> web.StreamResponse:
    """The container is paused meanwhile, unless `pause=0`."""
    engine = call.services.engine
    record = await engine.container_get(call.text("container"))
    image = await engine.image_get(record.spec.image)
    config = commit.with_body(commit.of_container(record.spec, image.config), await call.json())
    config = commit.apply_changes(config, call.request.query.getall("changes", []))
    pause = call.flag("pause", True) and record.state.status == "running"
    if pause:
        await engine.container_pause(record.id)
    try:
        made = await engine.container_commit(
            record.id, config, tag=reference(call), comment=call.text("comment"), author=call.text("author")
        )
    finally:
        if pause:
            await engine.container_unpause(record.id)
    return responses.json({"Id": made.id}, 201)


def reference(call: Call) -> str:
    """`repo` and `tag` of the query as one reference; "" without a repo."""
    repository, tag = call.text("repo"), call.text("tag")
    return f"{repository}:{tag}" if repository and tag else repository


async def import_image(call: Call) -> web.StreamResponse:
    """`images/create` with `fromSrc`: an image of one layer from the body's tar."""
    source = call.text("fromSrc")
    if source != "-":
        raise ActionError("bad-request", f"import from {source}: send the archive itself", hint="curl URL | … import -")
    config = commit.apply_changes(ImageConfig(), call.request.query.getall("changes", []))
    made = await call.services.engine.image_import(
        call.request.content.iter_any(),
        config,
        tag=reference(call),
        comment=call.text("message") or "Imported from -",
    )
    response = await responses.stream(call.request, "application/json")
    await response.write(responses.line({"status": made.id}))
    return response
