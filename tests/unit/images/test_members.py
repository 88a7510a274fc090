"""The tar reader: what other tools write, and what nobody should."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackfile.errors import ActionError
from stackfile.images import members


def tar(*infos: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def info(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_large_numbers(form: int) -> None:
    name = "/".join(["directory" * 10] * 5)
    data = tar((info(name, uid=5_000_000, mode=0o640, mtime=1_700_000_000), b"hello"), form=form)
    (found,) = members.read(memoryview(data))
    assert found.name == name.encode()
    assert (found.uid, found.mode, found.mtime_ns) == (5_000_000, 0o640, 1_700_000_000 * 10**9)
    assert data[found.start : found.start + found.size] == b"hello"


def test_fractional_time_and_attributes() -> None:
    pax = {"mtime": "1.25", "SCHILY.xattr.user.x": "y"}
    (found,) = members.read(memoryview(tar((info("f", pax_headers=pax), b""))))
    assert found.mtime_ns == 1_250_000_000
    assert found.xattrs == {b"user.x": b"y"}


def test_pax_applies_to_one_member_only() -> None:
    data = tar((info("x" * 200), b""), (info("short"), b""))
    assert [found.name for found in members.read(memoryview(data))] == [b"x" * 200, b"short"]


def refused(data: bytes) -> None:
    with pytest.raises(ActionError) as caught:
        list(members.read(memoryview(data)))
    assert caught.value.reason == "bad-archive"


def test_cut_off() -> None:
    refused(tar((info("f"), b"x" * 5000))[:2048])


def test_size_beyond_the_archive() -> None:
    refused(tar((info("f", pax_headers={"size": str(1 << 60)}), b"x")))


def test_sparse() -> None:
    refused(tar((info("f", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.realsize": "99999999999"}), b"x")))
    refused(tar((info("f", type=b"S"), b"")))


def test_wrong_checksum() -> None:
    data = bytearray(tar((info("f"), b"x")))
    data[0:1] = b"g"
    refused(bytes(data))


@pytest.mark.parametrize("pax", [b"abc", b"5 x=1\n", b"99 path=x\n", b"0 path=x\n", b"9999999999 a=b\n"])
def test_malformed_pax(pax: bytes) -> None:
    refused(tar((info("f", type=b"x"), pax)))


@given(st.binary(max_size=2048))
def test_noise_is_refused_or_empty(data: bytes) -> None:
    with suppress(ActionError):
        list(members.read(memoryview(data)))


@given(st.integers(0, 1535), st.integers(0, 255))
def test_flipped_bytes_do_no_harm(position: int, value: int) -> None:
    data = bytearray(tar((info("dir/name" * 30, mode=0o644), b"content")))
    data[position % len(data)] = value
    with suppress(ActionError):
        for found in members.read(memoryview(data)):
            assert found.start + found.size <= len(data)
