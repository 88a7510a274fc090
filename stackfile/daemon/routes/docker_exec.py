"""Commands in running containers."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import execs, values
from stackfile.daemon.hijack import take_over
from stackfile.daemon.relay import close, opened, relay
from stackfile.daemon.routing import DOCKER, OURS, Call, Table

table = Table(DOCKER)
_ours = Table(OURS)


@table.post("/containers/{id}/exec")
async def create(call: Call) -> web.StreamResponse:
    spec = execs.decode(await call.json())
    identity = await call.services.engine.exec_create(call.path["id"], spec)
    return responses.json({"Id": identity}, 201)


@table.post("/exec/{id}/start", stream=True)
async def start(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    identity = call.path["id"]
    body = await call.json()
    if values.flag(body, "Detach"):
        await opened(engine.exec_start(identity, detach=True), close)
        return responses.empty(200)
    record = await engine.exec_get(identity)
    streams = await opened(engine.exec_start(identity), close)
    assert streams is not None, "an exec that is not detached has streams"
    try:
        spec = record.spec
        return await take_over(
            call.request, lambda session: relay(session, streams, stdin=spec.stdin, detach_keys=spec.detach_keys)
        )
    finally:
        await streams.close()


@table.get("/exec/{id}/json")
async def inspect(call: Call) -> web.StreamResponse:
    return responses.json(execs.encode(await call.services.engine.exec_get(call.path["id"])))


@table.post("/exec/{id}/resize")
async def resize(call: Call) -> web.StreamResponse:
    await call.services.engine.exec_resize(call.path["id"], call.number("h", 0) or 0, call.number("w", 0) or 0)
    return responses.empty(200)


@_ours.get("/exec/{id}")
async def get(call: Call) -> web.StreamResponse:
    return responses.json(await call.services.engine.exec_get(call.path["id"]))


table.routes.extend(_ours.routes)
