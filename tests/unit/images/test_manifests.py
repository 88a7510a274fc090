"""Manifests and indexes of both families, and the choice of a platform."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackfile.errors import ActionError
from stackfile.images import documents, manifests
from stackfile.images.manifests import Descriptor, Index, Manifest, Platform, choose, decode, parse_platform

DIGEST = "sha256:" + "1" * 64


def described(media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 3, **more}


def manifest(**changes: Any) -> bytes:
    plain = {
        "schemaVersion": 2,
        "mediaType": documents.MANIFEST,
        "config": described(documents.CONFIG),
        "layers": [described(documents.LAYER + "+gzip")],
        **changes,
    }
    return json.dumps({key: value for key, value in plain.items() if value is not None}).encode()


def test_manifests_of_both_families() -> None:
    found = decode(manifest())
    assert isinstance(found, Manifest)
    assert (found.config.digest, found.layers[0].size) == (DIGEST, 3)
    docker = manifest(
        mediaType=manifests.DOCKER_MANIFEST,
        config=described(manifests.DOCKER_CONFIG),
        layers=[described("application/vnd.docker.image.rootfs.diff.tar.gzip")],
    )
    assert isinstance(decode(docker), Manifest)
    # OCI manifests need not say what they are.
    assert isinstance(decode(manifest(mediaType=None), documents.MANIFEST + "; charset=utf-8"), Manifest)
    assert isinstance(decode(json.dumps({"schemaVersion": 2, "manifests": []}).encode()), Index)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"text"',
        b'{"schemaVersion": 1, "fsLayers": []}',
        manifest(config=described("application/vnd.cncf.helm.config.v1+json")),
        manifest(layers=[described("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]),
        manifest(layers=[described(documents.LAYER)] * 501),
        manifest(config={**described(documents.CONFIG), "digest": "sha256:../../etc"}),
        manifest(config={**described(documents.CONFIG), "size": -1}),
        manifest(config={**described(documents.CONFIG), "size": 1 << 50}),
        manifest(config={**described(documents.CONFIG), "size": "3"}),
    ],
)
def test_what_is_no_image(data: bytes) -> None:
    with pytest.raises(ActionError) as caught:
        decode(data)
    assert caught.value.reason == "bad-archive"


def offered(*texts: str) -> Index:
    return Index(
        manifests=tuple(
            Descriptor(
                media_type=documents.MANIFEST, digest=DIGEST, size=number,
                platform=Platform(*text.split("/")) if text else None,
            )
            for number, text in enumerate(texts)
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "wanted", "number"),
    [
        (("linux/arm64", "linux/amd64"), "linux/amd64", 1),
        (("unknown/unknown", "linux/amd64"), "linux/amd64", 1),
        (("windows/amd64", "linux/amd64"), "amd64", 1),
        (("linux/arm/v6", "linux/arm/v7"), "linux/arm/v7", 1),
        (("linux/arm/v6",), "linux/arm/v7", 0),
        (("linux/arm64",), "linux/arm64/v8", 0),
        (("linux/arm64/v8",), "linux/arm64", 0),
        (("",), "linux/amd64", 0),
    ],
)
def test_choose(texts: tuple[str, ...], wanted: str, number: int) -> None:
    assert choose(offered(*texts), parse_platform(wanted)).size == number


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (("linux/arm64",), "linux/amd64"),
        (("linux/arm/v7",), "linux/arm/v6"),
        ((), "linux/amd64"),
        (("", ""), "linux/amd64"),
    ],
)
def test_nothing_to_choose(texts: tuple[str, ...], wanted: str) -> None:
    with pytest.raises(ActionError) as caught:
        choose(offered(*texts), parse_platform(wanted))
    assert caught.value.reason == "platform-missing"


def test_platforms() -> None:
    assert str(parse_platform("arm64")) == "linux/arm64"
    assert manifests.host_platform().os == "linux"
    for text in ("", "a//b", "a/b/c/d"):
        with pytest.raises(ActionError):
            parse_platform(text)
