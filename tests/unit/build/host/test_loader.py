"""The loader's cache, in both of its formats."""

from __future__ import annotations

import os
import struct

import pytest

from stackfile.build.host import loader


def cache(*entries: tuple[bytes, bytes, int]) -> bytes:
    """A cache in the new format: (name, path, hardware capabilities)."""
    start = 48 + 24 * len(entries)
    strings, rows = b"", b""
    for name, path, capabilities in entries:
        key = start + len(strings)
        strings += name + b"\0"
        rows += struct.pack("=iIIIQ", 0x303, key, start + len(strings), 0, capabilities)
        strings += path + b"\0"
    return b"glibc-ld.so.cache1.1" + struct.pack("=II", len(entries), len(strings)) + bytes(20) + rows + strings


def test_new_format() -> None:
    data = cache((b"libx.so.1", b"/opt/libx.so.1", 0), (b"libx.so.1", b"/v3/libx.so.1", 1 << 62))
    assert loader.parse_cache(data) == {"libx.so.1": ["/opt/libx.so.1"]}


def test_old_format_with_the_new_one_inside() -> None:
    old = b"ld.so-1.7.0\0" + struct.pack("=I", 1) + bytes(12)
    padded = old + bytes(-len(old) % 8)
    assert loader.parse_cache(padded + cache((b"a", b"/a", 0))) == {"a": ["/a"]}


@pytest.mark.parametrize("data", [b"", b"something else", b"ld.so-1.7.0\0" + bytes(4)])
def test_unknown_formats(data: bytes) -> None:
    assert loader.parse_cache(data) == {}


@pytest.mark.skipif(not os.path.exists(loader.CACHE), reason="this machine has no loader cache")
def test_the_cache_of_this_machine() -> None:
    found = loader.read_cache()
    assert any(os.path.exists(path) for path in found["libc.so.6"])
