"""Waiting until nothing is done in the background any more."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.daemon.services import Services

table = Table(OURS)
_EVERY = 0.02


def _jobs(services: Services) -> list[str]:
    return [
        f"job {job.id} ({job.kind} of {job.project})" for job in services.reconciler.jobs.list() if not job.finished
    ]


@table.post("/settle")
async def settle(call: Call) -> web.StreamResponse:
    """`busy` names what still goes on after `timeout` seconds (30); empty when all is done."""
    deadline = time.monotonic() + (call.decimal("timeout") or 30.0)
    services = call.services
    while busy := [*_jobs(services), *services.engine.busy()]:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_EVERY)
    await services.engine.settle()
    return responses.json({"busy": busy})
