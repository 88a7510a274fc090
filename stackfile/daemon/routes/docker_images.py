"""Images."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import filters, image
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.errors import ActionError, ConflictError

table = Table(DOCKER)


@table.get("/images/json")
async def list_images(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    wanted = filters.parse(call.text("filters"))
    if name := call.text("filter"):
        wanted["reference"] = (name,)
    records = image.select(await engine.image_list(), wanted)
    return responses.json([image.summary(record) for record in records])


@table.post("/images/prune")
async def prune(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    wanted = filters.parse(call.text("filters"))
    dangling_only = all(filters.is_true(value) for value in wanted.get("dangling", ("true",)))
    deleted: list[dict[str, str]] = []
    space = 0
    for record in await engine.image_list():
        if record.tags and dangling_only:
            continue
        try:
            deleted.extend(_removals(await engine.image_remove(record.id)))
            space += record.size
        except ConflictError:
            # A container or another image stands on it.
            continue
    return responses.json({"ImagesDeleted": deleted or None, "SpaceReclaimed": space})


@table.get("/images/{name*}/json")
async def inspect(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    record = await engine.image_get(call.path["name"])
    return responses.json(image.inspect(record, [layer.directory for layer in engine.image_layers(record.id)]))


@table.get("/images/{name*}/history")
async def history(call: Call) -> web.StreamResponse:
    return responses.json(image.history(await call.services.engine.image_get(call.path["name"])))


@table.post("/images/{name*}/tag")
async def tag(call: Call) -> web.StreamResponse:
    repository = call.text("repo")
    if not repository:
        raise ActionError("bad-request", "repo is empty")
    await call.services.engine.image_tag(call.path["name"], f"{repository}:{call.text('tag') or 'latest'}")
    return responses.empty(201)


@table.delete("/images/{name*}")
async def remove(call: Call) -> web.StreamResponse:
    done = await call.services.engine.image_remove(call.path["name"], force=call.flag("force"))
    return responses.json(_removals(done))


def _removals(done: object) -> list[dict[str, str]]:
    assert isinstance(done, list | tuple)
    keys = {"untagged": "Untagged", "deleted": "Deleted"}
    return [{keys[what]: image.familiar(name)} for what, name in done]
