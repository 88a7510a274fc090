"""The tar writer: the same members give the same bytes, and other tools read them."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from stackfile.digest import sha256
from stackfile.errors import ActionError
from stackfile.images import archive
from stackfile.images.archive import EPOCH, Member


def test_same_members_same_digest_in_any_order(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    members = [
        Member(path="a", type="dir", mode=0o755),
        Member(path="a/file", type="file", mode=0o644, size=7, content=str(source)),
        Member(path="a/link", type="symlink", mode=0o777, target="file"),
        Member(path="a-b", type="file", mode=0o600, size=1, content=b"x", xattrs={"user.b": b"2", "user.a": b"1"}),
    ]
    first = archive.write(members, f"{tmp_path}/1.tar")
    source.touch()
    second = archive.write(reversed(members), f"{tmp_path}/2.tar")
    assert first == second
    data = (tmp_path / "1.tar").read_bytes()
    assert first.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    assert first.size == len(data)
    assert first.files == 3


def test_tarfile_reads_it_all(tmp_path: Path) -> None:
    long = "d" * 90 + "/" + "f" * 120
    members = [
        Member(path=long, type="file", mode=0o4755, uid=3_000_000, gid=7, mtime=EPOCH + 5, size=3, content=b"abc"),
        Member(path="l", type="symlink", mode=0o777, target="t" * 150),
        Member(path="h", type="hardlink", mode=0o755, target=long),
        Member(path="p", type="fifo", mode=0o600),
        Member(path="ü", type="file", mode=0o644, mtime=-5),
        Member(path="cap", type="file", mode=0o755, xattrs={"security.capability": b"\x01\x00\n\x02"}),
    ]
    archive.write(members, f"{tmp_path}/x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        found = {item.name: item for item in tar.getmembers()}
        file = found[long]
        assert (file.mode, file.uid, file.gid, file.mtime, file.size) == (0o4755, 3_000_000, 7, EPOCH + 5, 3)
        assert found["l"].linkname == "t" * 150
        assert found["h"].islnk()
        assert found["h"].linkname == long
        assert found["p"].isfifo()
        assert found["ü"].mtime == -5
        assert "SCHILY.xattr.security.capability" in found["cap"].pax_headers


def test_directories_come_before_what_is_in_them(tmp_path: Path) -> None:
    members = [Member(path=path, type="dir", mode=0o755) for path in ("b/c", "a.b", "b", "a/x", "a")]
    archive.write(members, f"{tmp_path}/x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getnames() == ["a", "a.b", "a/x", "b", "b/c"]


@pytest.mark.parametrize("content", [b"shorter", b"something longer", b"other bytes!"])
def test_a_file_that_changed_is_noticed(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    expected = b"same length!"
    member = Member(path="f", type="file", mode=0o644, size=12, content=str(source), digest=sha256(expected))
    with pytest.raises(ActionError) as caught:
        archive.write([member], f"{tmp_path}/x.tar")
    assert caught.value.reason == "digest-mismatch"
