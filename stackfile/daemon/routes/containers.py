"""Containers as the model has them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from stackfile import wire
from stackfile.daemon import responses
from stackfile.daemon.frames import ENDED, frame
from stackfile.daemon.hijack import take_over
from stackfile.daemon.relay import opened, relay
from stackfile.daemon.routes.docker_containers import resolved
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.errors import StackfileError
from stackfile.model.container import ContainerSpec, ExitStatus
from stackfile.provider.engine import Engine, Streams

table = Table(OURS)
IDENTITY_HEADER = "Stackfile-Id"
"""Of a run's answer: the id of what was made."""


@table.get("/containers")
async def list_containers(call: Call) -> web.StreamResponse:
    return responses.json(list(await call.services.engine.container_list(project=call.text("project"))))


@table.get("/containers/{id}")
async def get(call: Call) -> web.StreamResponse:
    return responses.json(await call.services.engine.container_get(call.path["id"]))


@table.post("/containers")
async def create(call: Call) -> web.StreamResponse:
    """A spec whose `image` may be a reference."""
    engine = call.services.engine
    spec = await resolved(engine, await call.read(ContainerSpec))
    return responses.json({"id": await engine.container_create(spec)}, 201)


@dataclass(frozen=True, slots=True)
class _Run:
    """A container that was started, with everything that it writes."""

    identity: str
    streams: Streams
    ended: asyncio.Future[ExitStatus]

    async def last(self) -> bytes:
        return frame(ENDED, wire.encode(await self.ended))

    async def close(self) -> None:
        self.ended.cancel()
        await self.streams.close()


@table.post("/containers/run", stream=True)
async def run(call: Call) -> web.StreamResponse:
    """Create, attach, start and wait on one connection: what four requests of three connections would do.

    Until it runs a failure is an HTTP error. A client that leaves leaves the container alone.
    """
    engine = call.services.engine
    spec = await resolved(engine, await call.read(ContainerSpec))
    begun = await opened(_begin(engine, spec), _Run.close)
    try:
        return await take_over(
            call.request,
            lambda session: relay(session, begun.streams, stdin=spec.stdin_open, last=begun.last),
            {IDENTITY_HEADER: begun.identity},
        )
    finally:
        await begun.close()


async def _begin(engine: Engine, spec: ContainerSpec) -> _Run:
    identity = await engine.container_create(spec)
    streams = await engine.container_attach(identity, stdin=spec.stdin_open)
    condition = "removed" if spec.auto_remove else "next-exit"
    begun = _Run(identity, streams, asyncio.ensure_future(engine.container_wait(identity, condition)))
    try:
        # The wait must have begun before anything can end.
        await asyncio.sleep(0)
        await engine.container_start(identity)
    except BaseException:
        await begun.close()
        if spec.auto_remove:
            await _discard(engine, identity)
        raise
    return begun


async def _discard(engine: Engine, identity: str) -> None:
    """A container that cannot be started does not stay behind with `auto_remove`."""
    try:
        await engine.container_remove(identity, force=True, volumes=True)
    except StackfileError:
        # The engine has removed it already.
        pass
