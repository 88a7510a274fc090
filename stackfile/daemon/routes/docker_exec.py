"""Commands in running containers."""

from __future__ import annotations

import signal

from aiohttp import web

from stackfile import wire
from stackfile.daemon import faults, responses
from stackfile.daemon.detach import parse_keys
from stackfile.daemon.dockerjson import execs, values
from stackfile.daemon.frames import ENDED, frame
from stackfile.daemon.hijack import take_over
from stackfile.daemon.relay import close, opened, relay
from stackfile.daemon.routes.containers import IDENTITY_HEADER
from stackfile.daemon.routing import DOCKER, OURS, Call, Table
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.model.container import ExecSpec, ExitStatus

table = Table(DOCKER)
_ours = Table(OURS)


@table.post("/containers/{id}/exec")
async def create(call: Call) -> web.StreamResponse:
    spec = execs.decode(await call.json())
    parse_keys(spec.detach_keys)
    identity = await call.services.engine.exec_create(call.path["id"], spec)
    return responses.json({"Id": identity}, 201)


@table.post("/exec/{id}/start", stream=True)
async def start(call: Call) -> web.StreamResponse:
    """With `errors=1` a command that cannot be started is an HTTP error; without it is as Docker has it."""
    engine = call.services.engine
    identity = call.path["id"]
    body = await call.json()
    if values.flag(body, "Detach"):
        await opened(engine.exec_start(identity, detach=True), close)
        return responses.empty(200)
    spec = (await engine.exec_get(identity)).spec
    try:
        streams = await opened(engine.exec_start(identity), close)
    except ActionError as error:
        if call.flag("errors") or isinstance(error, NotFoundError | ConflictError):
            raise
        return await _failed(call, spec.tty, error)
    assert streams is not None, "an exec that is not detached has streams"
    try:
        return await take_over(
            call.request,
            lambda session: relay(session, streams, stdin=spec.stdin, detach_keys=parse_keys(spec.detach_keys)),
        )
    finally:
        await streams.close()


async def _failed(call: Call, tty: bool, error: ActionError) -> web.StreamResponse:
    """Docker upgrades before it starts the command, so its clients look for what went wrong in the output."""
    text = f"{faults.docker_message(error)}\r\n".encode()
    return await take_over(call.request, lambda session: session.write(text if tty else frame(1, text)))


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


@_ours.post("/containers/{id}/exec", stream=True)
async def run(call: Call) -> web.StreamResponse:
    """Create, start and, at its end, tell the exit code on one connection. Until it runs a failure is an HTTP error."""
    engine = call.services.engine
    spec = await call.read(ExecSpec)
    identity = await engine.exec_create(call.path["id"], spec)
    streams = await opened(engine.exec_start(identity), close)
    assert streams is not None, "an exec that is not detached has streams"

    async def last() -> bytes:
        try:
            code = (await engine.exec_get(identity)).exit_code
        except NotFoundError:
            # Its container has ended, and it with it.
            code = 128 + signal.SIGKILL
        return frame(ENDED, wire.encode(ExitStatus(exit_code=255 if code is None else code, known=code is not None)))

    try:
        return await take_over(
            call.request,
            lambda session: relay(session, streams, stdin=spec.stdin, last=last),
            {IDENTITY_HEADER: identity},
        )
    finally:
        await streams.close()


table.routes.extend(_ours.routes)
