"""Requests that move images: pull, load, save."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlencode

from stackfile import wire
from stackfile.api.http import Answer, Transport, path_of
from stackfile.errors import ActionError
from stackfile.model.image import ImageRecord, RegistryAuth, Transfer

Told = Callable[[Transfer], None]
_CHUNK = 1 << 20


def pull(transport: Transport, reference: str, platform: str, auth: RegistryAuth, told: Told) -> ImageRecord:
    """Errors as the engine's `image_pull`."""
    body = wire.encode({"reference": reference, "platform": platform, "auth": auth})
    headers = {"Content-Type": "application/json"}
    target = path_of("stackfile", "v1", "images", "pull")
    with transport.request("POST", target, body=body, headers=headers, timeout=None, what=f"pull of {reference}") as it:
        return _follow(it, told)[0]


def load(transport: Transport, data: Iterator[bytes], platform: str, told: Told) -> list[ImageRecord]:
    """Errors as the engine's `image_load`."""
    target = path_of("stackfile", "v1", "image-archive", platform=platform or None)
    with transport.request("POST", target, body=data, timeout=None, what="load of images") as answer:
        return _follow(answer, told)


def save(transport: Transport, names: Sequence[str], compress: str) -> Iterator[bytes]:
    """The archive in pieces. Errors as the engine's `image_save`."""
    query = urlencode([*(("names", name) for name in names), ("compress", compress)])
    target = f"{path_of('stackfile', 'v1', 'image-archive')}?{query}"
    with transport.request("GET", target, timeout=None, what="save of images") as answer:
        while data := answer.read_exactly(_CHUNK):
            yield data


def _follow(answer: Answer, told: Told) -> list[ImageRecord]:
    for line in answer.lines():
        value = json.loads(line)
        if "error" in value:
            raise wire.error_from_plain(value["error"])
        if "images" in value:
            return [wire.from_plain(item, ImageRecord) for item in value["images"]]
        told(wire.from_plain(value["progress"], Transfer))
    raise ActionError("action-failed", "the stream ended before the images were here")
