"""Manifests and indexes: OCI image-spec (manifest.md, image-index.md) and Docker's schema 2."""

from __future__ import annotations

import json
import platform as machine
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackfile import digest as digests
from stackfile.errors import ActionError
from stackfile.images import documents

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

MANIFESTS = (documents.MANIFEST, DOCKER_MANIFEST)
INDEXES = (documents.INDEX, DOCKER_LIST)
CONFIGS = (documents.CONFIG, DOCKER_CONFIG)
LAYERS = (
    documents.LAYER,
    documents.LAYER + "+gzip",
    documents.LAYER + "+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
)
ACCEPTED = ", ".join((*MANIFESTS, *INDEXES))

LARGEST = 4 << 20
"""Bytes that a manifest, an index or a config may have (distribution-spec: registries keep to the same limit)."""
_MOST_LAYERS = 500
_LARGEST_LAYER = 64 << 30


@dataclass(frozen=True, slots=True)
class Platform:
    """`os/architecture[/variant]` in Go's words."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """What a document says of a blob (descriptor.md)."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One image: its config and its layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Several manifests, usually one a platform."""

    manifests: tuple[Descriptor, ...]


def host_platform() -> Platform:
    """This machine's."""
    variant = {"aarch64": "v8", "armv7l": "v7", "armv6l": "v6"}.get(machine.machine(), "")
    return Platform("linux", documents.architecture(), variant)


def parse_platform(text: str) -> Platform:
    """`linux/arm64/v8`, or `arm64` alone. ActionError (`bad-request`)."""
    parts = text.split("/")
    if not all(parts) or len(parts) > 3:
        raise ActionError("bad-request", f"not a platform: {text!r}", hint="OS/ARCHITECTURE[/VARIANT]")
    if len(parts) == 1:
        parts.insert(0, "linux")
    return Platform(*parts)


def decode(data: bytes, media_type: str = "") -> Manifest | Index:
    """Read a manifest or an index; `media_type` as its bearer said, where the document has none of its own.

    ActionError (`bad-archive`) for what is neither, schema 1 and artifacts that are no image included.
    """
    try:
        document = json.loads(data)
        kind = document.get("mediaType") or media_type.partition(";")[0].strip()
        if kind in INDEXES or (kind not in MANIFESTS and "manifests" in document):
            return Index(manifests=tuple(_descriptor(item) for item in document["manifests"]))
        if document.get("schemaVersion") != 2:
            raise ActionError("bad-archive", "the manifest is of an old schema", cause=str(kind))
        config = _descriptor(document["config"])
        layers = tuple(_descriptor(item) for item in document["layers"])
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise ActionError("bad-archive", "the manifest is malformed", cause=str(e)) from e
    _check(config, layers)
    return Manifest(config=config, layers=layers)


def _check(config: Descriptor, layers: Sequence[Descriptor]) -> None:
    if config.media_type not in CONFIGS:
        raise ActionError("bad-archive", "not a container image", cause=f"its config is {config.media_type}")
    if len(layers) > _MOST_LAYERS:
        raise ActionError("bad-archive", f"the image has {len(layers)} layers, more than {_MOST_LAYERS}")
    for layer in layers:
        if layer.media_type not in LAYERS:
            raise ActionError("bad-archive", f"layer {layer.digest} is of an unknown kind", cause=layer.media_type)


def _descriptor(plain: Mapping[str, Any]) -> Descriptor:
    digest, size = str(plain["digest"]), plain["size"]
    if not digests.is_digest(digest):
        raise ValueError(f"malformed digest {digest!r}")
    if not isinstance(size, int) or not 0 <= size <= _LARGEST_LAYER:
        raise ValueError(f"bad size {size!r}")
    where = plain.get("platform") or None
    platform = None
    if where is not None:
        platform = Platform(str(where["os"]), str(where["architecture"]), str(where.get("variant") or ""))
    annotations = {str(key): str(value) for key, value in (plain.get("annotations") or {}).items()}
    return Descriptor(
        media_type=str(plain.get("mediaType") or ""), digest=digest, size=size, platform=platform,
        annotations=annotations,
    )  # fmt: skip


def choose(index: Index, wanted: Platform) -> Descriptor:
    """The manifest of a platform: of the same variant where one is named, else the first that fits.

    An entry without a platform fits where it is the only one. ActionError (`platform-missing`).
    """
    images = [item for item in index.manifests if item.media_type in (*MANIFESTS, *INDEXES, "")]
    known = [item for item in images if item.platform and item.platform.os != "unknown"]
    if not known and len(images) == 1:
        return images[0]
    fits = [item for item in known if item.platform and _fits(item.platform, wanted)]
    exact = [item for item in fits if item.platform and item.platform.variant == wanted.variant]
    if not fits:
        raise ActionError(
            "platform-missing",
            f"no image for {wanted}",
            cause="it exists for " + (", ".join(str(item.platform) for item in known) or "no platform"),
        )
    return (exact or fits)[0]


def _fits(offered: Platform, wanted: Platform) -> bool:
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return False
    if wanted.architecture == "arm" and wanted.variant and offered.variant:
        # An ARMv7 runs what was made for ARMv6 too.
        return offered.variant <= wanted.variant
    return True
