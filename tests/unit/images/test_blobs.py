"""The content store holds a blob whole or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stackfile.digest import sha256
from stackfile.errors import ActionError, NotFoundError
from stackfile.images.blobs import BlobStore


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(f"{tmp_path}/blobs", f"{tmp_path}/tmp")


def leftovers(blobs: BlobStore) -> list[str]:
    return os.listdir(blobs.temporary)


def test_put_and_read(blobs: BlobStore) -> None:
    digest = blobs.put([b"one ", b"two"])
    assert digest == sha256(b"one two")
    assert blobs.read(digest) == b"one two"
    assert blobs.size(digest) == 7
    assert list(blobs.list()) == [digest]
    assert leftovers(blobs) == []


def test_putting_twice_is_one_blob(blobs: BlobStore) -> None:
    assert blobs.put([b"x"]) == blobs.put([b"x"])
    assert len(list(blobs.list())) == 1
    assert leftovers(blobs) == []


def test_wrong_digest_stores_nothing(blobs: BlobStore) -> None:
    with pytest.raises(ActionError) as caught:
        blobs.put([b"x"], sha256(b"y"))
    assert caught.value.reason == "digest-mismatch"
    assert list(blobs.list()) == []
    assert leftovers(blobs) == []


def test_too_large_stores_nothing(blobs: BlobStore) -> None:
    with pytest.raises(ActionError) as caught:
        blobs.put([b"12345"] * 3, limit=14)
    assert caught.value.reason == "bad-archive"
    assert leftovers(blobs) == []


def test_a_source_that_fails_leaves_nothing(blobs: BlobStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"part"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(blobs.put_stream(broken(), sha256(b"part of it")))
    assert list(blobs.list()) == []
    assert leftovers(blobs) == []


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "sha256:abc", "md5:" + "a" * 32, ""])
def test_only_digests_are_paths(blobs: BlobStore, digest: str) -> None:
    with pytest.raises(ActionError) as caught:
        blobs.open(digest)
    assert caught.value.reason == "bad-request"


def test_absent(blobs: BlobStore) -> None:
    digest = sha256(b"nowhere")
    assert not blobs.has(digest)
    blobs.remove(digest)
    with pytest.raises(NotFoundError):
        blobs.open(digest)
