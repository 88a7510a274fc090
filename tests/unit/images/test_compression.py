"""Compression by first bytes, both ways, bounded."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path

import pytest
import zstandard

from stackfile.errors import ActionError
from stackfile.images import compression

DATA = b"some text, again and again; " * 40_000
PACKED = {
    "none": DATA,
    "gzip": gzip.compress(DATA),
    "zstd": zstandard.compress(DATA),
    "bzip2": bz2.compress(DATA),
    "xz": lzma.compress(DATA),
}


def expand(path: Path, limit: int = 1 << 30, start: int = 0, size: int = -1) -> tuple[str, bytes]:
    out = io.BytesIO()
    with compression.Part(str(path), start, size) as part:
        kind = compression.expand(part, out.write, limit)
    return kind, out.getvalue()


@pytest.mark.parametrize("kind", PACKED)
def test_expand(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before" + PACKED[kind] + b"after")
    assert expand(path, start=6, size=len(PACKED[kind])) == (kind, DATA)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_several_streams_one_after_the_other(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACKED[kind] * 2)
    assert expand(path) == (kind, DATA * 2)


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz"])
def test_damaged(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    for data in (PACKED[kind][:-10], PACKED[kind][:20] + b"\xff" * 20 + PACKED[kind][40:]):
        path.write_bytes(data)
        with pytest.raises(ActionError) as caught:
            expand(path)
        assert caught.value.reason == "bad-archive"


@pytest.mark.parametrize("kind", PACKED)
def test_bounded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(PACKED[kind])
    with pytest.raises(ActionError) as caught:
        expand(path, limit=len(DATA) - 1)
    assert caught.value.reason == "bad-archive"


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert expand(path) == ("none", b"")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_compress_gives_the_same_every_time(kind: str) -> None:
    results = []
    for _ in range(2):
        out = io.BytesIO()
        with compression.compressor(kind, out) as file:
            file.write(DATA)
        results.append(out.getvalue())
    assert results[0] == results[1]
    assert compression.detect(results[0][:6]) == kind
    unpacked = gzip.decompress(results[0]) if kind == "gzip" else zstandard.decompress(results[0], len(DATA))
    assert unpacked == DATA
