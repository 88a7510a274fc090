"""Images from and to elsewhere, with typed progress and errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from stackfile import wire
from stackfile.daemon import responses, transfers
from stackfile.daemon.routes import docker_transfers
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.daemon.transfers import Ended
from stackfile.errors import StackfileError
from stackfile.model.image import ImageRecord, RegistryAuth, Transfer

table = Table(OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """`auth` is used for this pull alone."""

    reference: str
    platform: str = ""
    auth: RegistryAuth = RegistryAuth()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    host: str
    auth: RegistryAuth = RegistryAuth()


@table.post("/images/pull", stream=True)
async def pull(call: Call) -> web.StreamResponse:
    """Lines of {"progress"}, the last one {"images"} or {"error"}."""
    request = await call.read(PullRequest)
    engine = call.services.engine

    async def work(told: Any) -> list[ImageRecord]:
        return [await engine.image_pull(request.reference, platform=request.platform, auth=request.auth, told=told)]

    return await _stream(call, transfers.follow(work))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveRequest:
    reference: str
    auth: RegistryAuth = RegistryAuth()


@table.post("/images/resolve")
async def resolve(call: Call) -> web.StreamResponse:
    """What the registry has under a reference; nothing is fetched."""
    request = await call.read(ResolveRequest)
    return responses.json(await call.services.engine.image_resolve(request.reference, request.auth))


@table.post("/registry-check")
async def check(call: Call) -> web.StreamResponse:
    """Whether a registry takes these credentials."""
    request = await call.read(CheckRequest)
    await call.services.engine.registry_check(request.host, request.auth)
    return responses.empty()


@table.post("/image-archive", stream=True)
async def load(call: Call) -> web.StreamResponse:
    """The body is the archive; lines as of a pull."""
    engine = call.services.engine
    data = call.request.content.iter_chunked(docker_transfers.CHUNK)

    async def work(told: Any) -> list[ImageRecord]:
        return list(await engine.image_load(data, platform=call.text("platform"), told=told))

    return await _stream(call, transfers.follow(work))


@table.get("/image-archive", stream=True)
async def save(call: Call) -> web.StreamResponse:
    """`names` (several), `compress`: gzip, zstd or nothing."""
    return await docker_transfers.save(call, call.request.query.getall("names", []), call.text("compress"))


async def _stream(call: Call, work: AsyncGenerator[Transfer | Ended[list[ImageRecord]], None]) -> web.StreamResponse:
    response: web.StreamResponse | None = None
    try:
        async with aclosing(work) as events:
            async for event in events:
                response = response or await responses.stream(call.request, responses.NDJSON)
                line = {"images": event.result} if isinstance(event, Ended) else {"progress": event}
                await response.write(responses.line(line))
    except StackfileError as error:
        if response is None:
            raise
        await response.write(responses.line({"error": wire.error_to_plain(error)}))
    assert response is not None
    return response
