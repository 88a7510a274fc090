"""The archive that a save writes: an OCI layout and a docker-archive in one tar, as Docker's own since version 25.

Each content is in it once; `manifest.json` and `index.json` both refer to `blobs/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stackfile import digest as digests
from stackfile.images import archive, documents, references
from stackfile.images.archive import Member


@dataclass(frozen=True, slots=True)
class Content:
    """A file of the archive: its bytes, or the path of a file that holds `size` of them."""

    name: str
    data: bytes = b""
    path: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """An image to be written: its config document, its layers as (digest, path, bytes), the names it goes under."""

    config: bytes
    layers: tuple[tuple[str, str, int], ...]
    tags: tuple[str, ...] = ()
    layer_type: str = documents.LAYER


def contents(images: Sequence[Saved]) -> Iterator[Content]:
    """The files of the archive, each once."""
    seen: set[str] = set()
    index: list[dict[str, object]] = []
    entries: list[dict[str, object]] = []
    for image in images:
        manifest = documents.encode_manifest(
            image.config, [(digest, size) for digest, _, size in image.layers], image.layer_type
        )
        own = [
            Content(_blob(digests.sha256(image.config)), data=image.config),
            *(Content(_blob(digest), path=path, size=size) for digest, path, size in image.layers),
            Content(_blob(digests.sha256(manifest)), data=manifest),
        ]
        yield from (item for item in own if item.name not in seen)
        seen.update(item.name for item in own)
        index += _descriptors(manifest, image.tags)
        entries.append(
            {
                "Config": _blob(digests.sha256(image.config)),
                "RepoTags": [references.familiar(tag) for tag in image.tags] or None,
                "Layers": [_blob(digest) for digest, _, _ in image.layers],
            }
        )
    head = {"schemaVersion": 2, "mediaType": documents.INDEX, "manifests": index}
    yield Content("index.json", data=digests.canonical(head))
    yield Content("manifest.json", data=digests.canonical(entries))
    yield Content("oci-layout", data=json.dumps({"imageLayoutVersion": "1.0.0"}).encode())


def _descriptors(manifest: bytes, tags: Sequence[str]) -> Iterator[dict[str, object]]:
    plain: dict[str, object] = {
        "mediaType": documents.MANIFEST,
        "digest": digests.sha256(manifest),
        "size": len(manifest),
    }
    for tag in tags:
        names: Mapping[str, str] = {
            "io.containerd.image.name": tag,
            "org.opencontainers.image.ref.name": references.parse(tag).tag,
        }
        yield {**plain, "annotations": names}
    if not tags:
        yield plain


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def directories() -> bytes:
    """The headers that come first."""
    return b"".join(archive.header(Member(path=path, type="dir", mode=0o755)) for path in ("blobs", "blobs/sha256"))


def header(content: Content) -> bytes:
    """The tar header of a file, its content not included."""
    size = content.size if content.path else len(content.data)
    return archive.header(Member(path=content.name, type="file", mode=0o644, size=size))


def padding(size: int) -> bytes:
    """What follows a content of `size` bytes."""
    return bytes(-size % 512)


END = bytes(1024)
"""The end of a tar."""
