"""What `up` would do."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.errors import ActionError
from stackfile.model.observed import UpOptions
from stackfile.model.stack import Stack

table = Table(OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    stack: Stack
    options: UpOptions = UpOptions()
    inputs: tuple[dict[str, str], ...] | None = None
    """Digests of what the stack was loaded from; with them the plan can be saved and applied."""


@table.post("/plan")
async def plan(call: Call) -> web.StreamResponse:
    request = await call.read(PlanRequest)
    reconciler = call.services.reconciler
    return responses.json(await reconciler.plan(request.stack, request.options, inputs=request.inputs))


@table.post("/keys")
async def keys(call: Call) -> web.StreamResponse:
    """HMACs of contents (base64) under the engine's key."""
    body = await call.json()
    contents = body.get("contents")
    if not isinstance(contents, list) or not all(isinstance(item, str) for item in contents):
        raise ActionError("bad-request", "contents is not a list of texts")
    try:
        data = [base64.b64decode(item, validate=True) for item in contents]
    except ValueError as error:
        raise ActionError("bad-request", "contents are not base64", cause=str(error)) from error
    return responses.json({"keys": [await call.services.engine.file_key(item) for item in data]})
