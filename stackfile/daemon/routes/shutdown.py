"""The end of the daemon, and of supervisor, shim and resolver with it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.errors import ConflictError, NotFoundError
from stackfile.model.container import ContainerRecord
from stackfile.provider.engine import Engine

table = Table(OURS)


@table.post("/shutdown")
async def shutdown(call: Call) -> web.StreamResponse:
    """Refused while containers run; `force` stops them first. The answer comes before the end."""
    engine = call.services.engine
    running = await _running(engine)
    if running and not call.flag("force"):
        names = ", ".join(sorted(record.spec.name for record in running)[:5])
        raise ConflictError(
            "conflict",
            f"{len(running)} container{'s run' if len(running) > 1 else ' runs'}",
            cause=names,
            hint="stackfile daemon stop --force stops them first",
        )
    await _stop(engine, running)
    await call.services.stop_everything()
    return responses.json({"stopped": len(running)})


async def _running(engine: Engine) -> list[ContainerRecord]:
    return [record for record in await engine.container_list() if record.state.running]


async def _stop(engine: Engine, running: list[ContainerRecord]) -> None:
    """Together, each with its own grace."""
    results = await asyncio.gather(*(engine.container_stop(record.id) for record in running), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, NotFoundError):
            raise result
