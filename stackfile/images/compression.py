"""Compression of layers and archives: told by their first bytes, never by their names.

gzip by isal (twice as fast as zlib at reading, ten times at writing), zstd by zstandard; bzip2 and xz as `docker load`
reads them. Expansion is bounded, because a few kilobytes may stand for terabytes.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol

import zstandard
from isal import igzip, igzip_lib

from stackfile.errors import ActionError

GZIP, ZSTD, NONE = "gzip", "zstd", "none"

_CHUNK = 1 << 20
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 3
_MAGIC = {b"\x1f\x8b\x08": GZIP, b"\x28\xb5\x2f\xfd": ZSTD, b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_ISAL_ERROR: Any = igzip_lib.IsalError
"""Its type stub says that it is an instance."""
_FAILURES: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    zlib.error,
    _ISAL_ERROR,
    lzma.LZMAError,
    zstandard.ZstdError,
)


def detect(head: bytes) -> str:
    """gzip, zstd, bzip2, xz, or none."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), NONE)


def expand(source: Part, write: Callable[[bytes], object], limit: int) -> str:
    """Write what `source` holds, expanded, and return its compression. ActionError (`bad-archive`) where it is
    damaged or larger than `limit` bytes; what `write` raises passes through.
    """
    buffered = io.BufferedReader(source, _CHUNK)
    kind = detect(buffered.peek(6)[:6])
    reader = _reader(kind, buffered)
    size = 0
    while data := _read(reader, kind):
        size += len(data)
        if size > limit:
            raise ActionError("bad-archive", f"the archive holds more than {limit} bytes")
        write(data)
    return kind


def _read(reader: _Reader, kind: str) -> bytes:
    try:
        return reader.read(_CHUNK)
    except _FAILURES as e:
        if kind == NONE:
            raise
        raise ActionError("bad-archive", f"the {kind} data is damaged", cause=str(e)) from e


def _reader(kind: str, source: Any) -> _Reader:
    readers: dict[str, Callable[[Any], _Reader]] = {
        GZIP: lambda file: igzip.IGzipFile(fileobj=file, mode="rb"),  # type: ignore[no-untyped-call]
        ZSTD: lambda file: zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True),
        "bzip2": bz2.BZ2File,
        "xz": lzma.LZMAFile,
    }
    return readers[kind](source) if kind in readers else source


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Part(io.RawIOBase):
    """`size` bytes of a file from `start` on."""

    def __init__(self, path: str, start: int = 0, size: int = -1) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._file.seek(start)
        self._left = os.fstat(self._file.fileno()).st_size - start if size < 0 else size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def compressor(kind: str, target: BinaryIO) -> BinaryIO:
    """A file that compresses into `target`; the same bytes give the same output. Close it to finish."""
    made: Any
    if kind == GZIP:
        made = igzip.IGzipFile("", "wb", _GZIP_LEVEL, target, 0)  # type: ignore[no-untyped-call]
    else:
        assert kind == ZSTD, kind
        made = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).stream_writer(target, closefd=False)
    return made  # type: ignore[no-any-return]
