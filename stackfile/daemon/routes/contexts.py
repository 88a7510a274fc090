"""Build contexts: a manifest says which files it has; those that are not here yet are uploaded by digest."""

from __future__ import annotations

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import values
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.digest import is_digest
from stackfile.errors import ActionError

table = Table(OURS)
_CHUNK = 1 << 20


@table.post("/contexts")
async def put_manifest(call: Call) -> web.StreamResponse:
    body = await call.json()
    digest = _checked(values.text(body, "digest"))
    missing = await call.services.engine.context_missing(digest, values.text(body, "manifest").encode())
    return responses.json({"missing": list(missing)})


@table.put("/blobs/{digest}")
async def put_blob(call: Call) -> web.StreamResponse:
    """The content goes to disk as it arrives."""
    digest = _checked(call.path["digest"])
    await call.services.engine.blob_put(digest, call.request.content.iter_chunked(_CHUNK))
    return responses.empty(201)


def _checked(digest: str) -> str:
    if not is_digest(digest):
        raise ActionError("bad-request", f"not a digest: {digest!r}")
    return digest
