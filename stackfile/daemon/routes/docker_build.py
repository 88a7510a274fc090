"""`POST /build`: Docker's classic builder, for its CLI without buildx and for docker-py."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from stackfile.build.dockerfiles import planned
from stackfile.daemon import responses
from stackfile.daemon.dockerjson import image
from stackfile.daemon.faults import docker_message
from stackfile.daemon.routes import docker_transfers
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.errors import ActionError, StackError, StackfileError
from stackfile.images import references
from stackfile.language import dockerfile
from stackfile.model.image import BuildResult, RegistryAuth
from stackfile.model.stack import Build, ImageResource
from stackfile.provider.engine import BuildStep
from stackfile.refusals import understood

table = Table(DOCKER)
_CHUNK = 1 << 20
_NAME = "build"
_WAITING, _LINE = 64 << 20, 256
"""Bytes of output that wait for a slow client, and what a line costs beside its text."""


@table.post("/build", stream=True)
async def build_image(call: Call) -> web.StreamResponse:
    """The context is the body, a tar archive. What is wrong before the first step is an answer, the rest is told in
    the stream.
    """
    credentials = _credentials(call)
    resource = await _resource(call)
    build = resource.build
    assert build is not None
    dockerfile.parse(build.text, build.dockerfile)
    response = await responses.stream(call.request, "application/json")
    quiet = call.flag("q")
    lines = _Lines(quiet)

    async def work() -> BuildResult:
        try:
            if call.flag("pull"):
                await _pull(call, build, credentials, lines.say)
            return await call.services.engine.image_build(
                {_NAME: resource},
                _NAME,
                no_cache=call.flag("nocache"),
                progress=lambda text: lines.say(f"{text}\n"),
                report=lambda step: lines.say(_step(step)),
                credentials=credentials,
            )
        except OSError as error:
            raise understood(error) from error
        finally:
            lines.end()

    task = asyncio.create_task(work())
    try:
        async for text in lines:
            await _write(response, {"stream": text})
        for line in _ending(await task, resource, quiet):
            await _write(response, line)
    except StackfileError as error:
        message = f"{error.at}: {docker_message(error)}" if error.at else docker_message(error)
        code = {"code": int(error.details.get("exit", 1))}
        await _write(response, {"errorDetail": {**code, "message": message}, "error": message})
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, StackfileError):
            await task
    return response


class _Lines:
    """Output on its way to a client. One that does not read misses lines, and is told how many; nobody waits for it."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._waiting = self._omitted = 0

    def say(self, text: str) -> None:
        if self._quiet:
            return
        if self._waiting >= _WAITING:
            self._omitted += 1
            return
        self._tell_omitted()
        self._put(text)

    def end(self) -> None:
        self._tell_omitted()
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[str]:
        """Until `end`."""
        while (text := await self._queue.get()) is not None:
            self._waiting -= len(text) + _LINE
            yield text

    def _put(self, text: str) -> None:
        self._waiting += len(text) + _LINE
        self._queue.put_nowait(text)

    def _tell_omitted(self) -> None:
        if self._omitted:
            self._put(f"[{self._omitted} lines of output were not read in time]\n")
            self._omitted = 0


async def _pull(call: Call, build: Build, credentials: Mapping[str, RegistryAuth], say: Callable[[str], None]) -> None:
    """`--pull`: what registries have now counts, whatever is here."""
    for name in planned(build).images:
        say(f"Pulling {name}\n")
        auth = credentials.get(references.parse(name).domain, RegistryAuth())
        await call.services.engine.image_pull(name, auth=auth)


async def _resource(call: Call) -> ImageResource:
    if call.text("remote"):
        raise ActionError("bad-request", "a build context by URL is not supported", hint="send a directory")
    if call.text("version", "1") != "1":
        raise ActionError("bad-request", "BuildKit is not supported", hint="DOCKER_BUILDKIT=0 docker build")
    path = call.text("dockerfile") or "Dockerfile"
    body = call.request.content.iter_chunked(_CHUNK)
    manifest, text = await call.services.engine.context_archive(body, path)
    if text is None:
        message = f"Cannot locate specified Dockerfile: {path}"
        raise StackError("file-not-found", message)
    tags = tuple(call.request.query.getall("t", []))
    build = Build(
        dockerfile=path,
        text=text,
        manifest=manifest,
        target=call.text("target"),
        args={name: value for name, value in _pairs(call, "buildargs").items() if value is not None},
        labels={name: value or "" for name, value in _pairs(call, "labels").items()},
        network=_network(call),
        extra_hosts=tuple(item.replace(":", "=", 1) for item in call.text("extrahosts").split(",") if item),
    )
    return ImageResource(name=_NAME, tags=tags, build=build)


@table.post("/build/prune")
async def prune(call: Call) -> web.StreamResponse:
    """Cached steps go with the images that hold them: without those nothing is left to prune."""
    return responses.json({"CachesDeleted": [], "SpaceReclaimed": 0})


def _credentials(call: Call) -> dict[str, RegistryAuth]:
    """The X-Registry-Config header: by registry, what its client is logged in with. Never part of an error."""
    header = call.request.headers.get("X-Registry-Config", "")
    try:
        plain = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)) or b"{}")
    except (ValueError, binascii.Error):
        plain = None
    if not isinstance(plain, dict) or not all(isinstance(value, dict) for value in plain.values()):
        raise ActionError("bad-request", "the X-Registry-Config header is malformed")
    return {_registry(name): docker_transfers.decoded(value) for name, value in plain.items()}


def _registry(name: str) -> str:
    """`https://index.docker.io/v1/`, the key of Docker's own registry, is docker.io to everything else."""
    host = name.partition("://")[2].partition("/")[0] or name
    return "docker.io" if host == "index.docker.io" else host


def _network(call: Call) -> str:
    mode = call.text("networkmode")
    return "" if mode in ("", "default", "bridge") else mode


def _pairs(call: Call, name: str) -> Mapping[str, str | None]:
    try:
        value = json.loads(call.text(name) or "{}") or {}
    except ValueError as error:
        raise ActionError("bad-request", f"{name} is not JSON", cause=str(error)) from error
    if not isinstance(value, dict):
        raise ActionError("bad-request", f"{name} is not a JSON object")
    return value


def _step(step: BuildStep) -> str:
    if not step.image:
        return f"Step {step.number}/{step.total} : {step.text}\n"
    cached = " ---> Using cache\n" if step.cached else ""
    return f"{cached} ---> {_short(step.image)}\n"


def _ending(result: BuildResult, resource: ImageResource, quiet: bool) -> list[dict[str, Any]]:
    if quiet:
        return [{"stream": f"{result.image}\n"}]
    tagged = [{"stream": f"Successfully tagged {image.familiar(tag)}\n"} for tag in resource.tags]
    return [{"aux": {"ID": result.image}}, {"stream": f"Successfully built {_short(result.image)}\n"}, *tagged]


def _short(identity: str) -> str:
    return identity.removeprefix("sha256:")[:12]


async def _write(response: web.StreamResponse, line: dict[str, Any]) -> None:
    await response.write(json.dumps(line).encode() + b"\r\n")
