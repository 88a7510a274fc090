"""Images from and to elsewhere: pull, load, save."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from aiohttp import web

from stackfile.daemon import responses, transfers
from stackfile.daemon.closing import closing
from stackfile.daemon.dockerjson import values
from stackfile.daemon.dockerjson.image import familiar
from stackfile.daemon.faults import docker_message
from stackfile.daemon.routes.docker_archives import import_image
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.daemon.transfers import Ended
from stackfile.errors import ActionError, NotFoundError, StackfileError
from stackfile.model.image import ImageRecord, RegistryAuth, Transfer

table = Table(DOCKER)
CHUNK = 1 << 20
_BAR = 50


@table.post("/images/create", stream=True)
async def pull(call: Call) -> web.StreamResponse:
    """`docker pull`. Errors before the first progress are answers, later ones are told in the stream."""
    if call.text("fromSrc"):
        return await import_image(call)
    name = call.text("fromImage")
    if not name:
        raise ActionError("bad-request", "fromImage is empty")
    reference = _reference(name, call.text("tag"))
    engine, auth = call.services.engine, _auth(call)
    before = await _identity(call, reference)
    work = transfers.follow(
        lambda told: engine.image_pull(reference, platform=call.text("platform"), auth=auth, told=told)
    )

    def last(record: ImageRecord) -> dict[str, Any]:
        new = "Image is up to date for" if record.id == before else "Downloaded newer image for"
        return {"status": f"Status: {new} {familiar(reference)}"}

    return await _stream(call, work, last)


@table.post("/images/load", stream=True)
async def load(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    data = call.request.content.iter_chunked(CHUNK)
    work = transfers.follow(lambda told: engine.image_load(data, platform=call.text("platform"), told=told))
    response: web.StreamResponse | None = None
    async with aclosing(work) as events:
        async for event in events:
            if isinstance(event, Transfer) and event.status.startswith("Loaded image"):
                response = response or await responses.stream(call.request, "application/json")
                await response.write(json.dumps({"stream": f"{event.status}\n"}).encode() + b"\r\n")
    return response or responses.json({})


@table.get("/images/{name*}/get", stream=True)
async def save_one(call: Call) -> web.StreamResponse:
    return await save(call, [call.path["name"]])


@table.get("/images/get", stream=True)
async def save_all(call: Call) -> web.StreamResponse:
    return await save(call, call.request.query.getall("names", []))


async def save(call: Call, names: Sequence[str], compress: str = "") -> web.StreamResponse:
    """Images as one tar."""
    if not names:
        raise ActionError("bad-request", "no image is named")
    chunks = await call.services.engine.image_save(names, compress=compress)
    async with closing(chunks) as found:
        response = await responses.stream(call.request, "application/x-tar")
        async for chunk in found:
            await response.write(chunk)
    return response


# ---------------------------------------------------------------- the stream of a pull


async def _stream(
    call: Call, work: AsyncGenerator[Transfer | Ended[ImageRecord], None], last: Any
) -> web.StreamResponse:
    response: web.StreamResponse | None = None
    try:
        async with aclosing(work) as events:
            async for event in events:
                line = last(event.result) if isinstance(event, Ended) else _progress(event)
                response = response or await responses.stream(call.request, "application/json")
                await response.write(json.dumps(line).encode() + b"\r\n")
    except StackfileError as error:
        if response is None:
            raise _worded(error) from error
        message = docker_message(error)
        await response.write(json.dumps({"errorDetail": {"message": message}, "error": message}).encode() + b"\r\n")
    assert response is not None
    return response


def _progress(transfer: Transfer) -> dict[str, Any]:
    line: dict[str, Any] = {"status": transfer.status}
    if transfer.id:
        line["id"] = transfer.id
        line["progressDetail"] = {}
    if transfer.total:
        line["progressDetail"] = {"current": transfer.current, "total": transfer.total}
        line["progress"] = bar(transfer.current, transfer.total)
    return line


def bar(current: int, total: int) -> str:
    """`[=====>     ]  1.2MB/3.4MB`, as Docker draws it."""
    done = min(_BAR, _BAR * current // total)
    drawn = "=" * done + (">" if done < _BAR else "") + " " * max(0, _BAR - done - 1)
    return f"[{drawn}]  {current / 1e6:.4g}MB/{total / 1e6:.4g}MB"


def _worded(error: StackfileError) -> StackfileError:
    """What clients of Docker look for when there is no such image, or no access to it."""
    if isinstance(error, NotFoundError):
        return ActionError("not-found", f"manifest for {error.message.partition(': ')[2]} not found", cause=error.cause)
    return error


# ---------------------------------------------------------------- the request


def _reference(name: str, tag: str) -> str:
    if not tag:
        return name
    return f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"


async def _identity(call: Call, reference: str) -> str:
    try:
        return (await call.services.engine.image_get(reference)).id
    except NotFoundError:
        return ""


@table.get("/distribution/{name*}/json")
async def distribution(call: Call) -> web.StreamResponse:
    """What a registry has under a name: for clients that write digests into their files."""
    try:
        found = await call.services.engine.image_resolve(call.path["name"], _auth(call))
    except NotFoundError as error:
        raise _worded(error) from error
    return responses.json(
        {
            "Descriptor": {"mediaType": found.media_type, "digest": found.digest, "size": found.size},
            "Platforms": [_platform(text) for text in found.platforms],
        }
    )


def _platform(text: str) -> dict[str, str]:
    parts = zip(("os", "architecture", "variant"), text.split("/"), strict=False)
    return dict(parts)


@table.post("/auth")
async def login(call: Call) -> web.StreamResponse:
    """`docker login`: whether the registry takes the credentials. Nothing is kept."""
    body = await call.json()
    host = values.text(body, "serveraddress").partition("://")[2] or values.text(body, "serveraddress")
    host = host.partition("/")[0]
    domain = "docker.io" if host in ("", "index.docker.io") else host
    try:
        await call.services.engine.registry_check(domain, decoded(body))
    except ActionError as error:
        if error.reason != "registry-denied":
            raise
        return responses.json({"message": f"Get https://{domain}/v2/: unauthorized: {error.cause}"}, 401)
    return responses.json({"Status": "Login Succeeded", "IdentityToken": ""})


def _auth(call: Call) -> RegistryAuth:
    """The X-Registry-Auth header: URL-safe base64 of JSON. What it holds is never part of an error."""
    header = call.request.headers.get("X-Registry-Auth", "")
    if not header:
        return RegistryAuth()
    try:
        plain = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, binascii.Error):
        plain = None
    if not isinstance(plain, dict):
        raise ActionError("bad-request", "the X-Registry-Auth header is malformed")
    return decoded(plain)


def decoded(plain: dict[str, Any]) -> RegistryAuth:
    return RegistryAuth(
        username=values.text(plain, "username"),
        password=values.text(plain, "password"),
        identity_token=values.text(plain, "identitytoken"),
        registry_token=values.text(plain, "registrytoken"),
    )
