"""Responses with the headers that Docker's clients look for."""

from __future__ import annotations

from aiohttp import web

import stackfile
from stackfile import wire

API_VERSION = "1.42"
MIN_API_VERSION = "1.12"
HEADERS = {
    "Api-Version": API_VERSION,
    "Docker-Experimental": "false",
    "Ostype": "linux",
    "Server": f"stackfile/{stackfile.__version__} (linux)",
}
NDJSON = "application/x-ndjson"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"


def json(value: object, status: int = 200) -> web.Response:
    """`value` (plain data or the model) as JSON."""
    return web.Response(body=wire.encode(value), status=status, headers=HEADERS, content_type="application/json")


def empty(status: int = 204) -> web.Response:
    return web.Response(status=status, headers=HEADERS)


def line(value: object) -> bytes:
    """`value` as a line of a stream of JSON."""
    return wire.encode(value) + b"\n"


async def stream(request: web.BaseRequest, content_type: str) -> web.StreamResponse:
    """A chunked response whose head has been sent."""
    response = web.StreamResponse(headers={**HEADERS, "Content-Type": content_type})
    if request.version >= (1, 1):
        response.enable_chunked_encoding()
    await response.prepare(request)
    return response
