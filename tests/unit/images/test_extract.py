"""Unpacking a layer: what belongs in it comes out right, and nothing leaves its directory."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.images import extract
from stackfile.images.extract import Unpacked

pytestmark = pytest.mark.root

REG, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


class Layer:
    """Builds an archive member by member, and unpacks it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "layer"
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, kind: bytes = REG, data: bytes = b"", **fields: object) -> Layer:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mode = kind, len(data), 0o755 if kind == DIR else 0o644
        for key, value in fields.items():
            setattr(info, key, value)
        self._tar.addfile(info, io.BytesIO(data))
        return self

    def unpack(self, *lower: Path) -> Unpacked:
        self._tar.close()
        path = self.directory / "layer.tar"
        path.write_bytes(self._buffer.getvalue())
        self.root.mkdir()
        return extract.extract(str(path), str(self.root), [str(item) for item in lower])

    def refused(self, reason: str = "unsafe-path") -> None:
        with pytest.raises(ActionError) as caught:
            self.unpack()
        assert caught.value.reason == reason


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    return Layer(tmp_path)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("secret")
    return path


def test_everything_of_a_file(layer: Layer) -> None:
    pax = {"SCHILY.xattr.user.note": "hi"}
    layer.add("d", DIR, mode=0o2750, uid=5, gid=6, mtime=1000)
    layer.add("./d/f", data=b"text", mode=0o4711, uid=7, gid=8, mtime=2000, pax_headers=pax)
    layer.add("d/l", LINK, linkname="../d/f", uid=9, gid=9).add("d/h", HARD, linkname="d/f").add(
        "d/p", tarfile.FIFOTYPE
    )
    assert layer.unpack() == Unpacked(files=4, size=4)
    directory, file = os.stat(layer.root / "d"), os.stat(layer.root / "d/f")
    assert (directory.st_mode & 0o7777, directory.st_uid, directory.st_gid, directory.st_mtime) == (0o2750, 5, 6, 1000)
    assert (file.st_mode & 0o7777, file.st_uid, file.st_gid, file.st_mtime) == (0o4711, 7, 8, 2000)
    assert os.getxattr(layer.root / "d/f", "user.note") == b"hi"
    assert os.readlink(layer.root / "d/l") == "../d/f"
    assert os.lstat(layer.root / "d/l").st_uid == 9
    assert file.st_nlink == 2
    assert stat.S_ISFIFO(os.stat(layer.root / "d/p").st_mode)


@pytest.mark.parametrize("name", ["../f", "a/../../f", "a/..", "..", "/../f"])
def test_upward_names(layer: Layer, name: str) -> None:
    layer.add(name).refused()


def test_absolute_names_stay_inside(layer: Layer) -> None:
    layer.add("/etc/passwd", data=b"x").unpack()
    assert (layer.root / "etc/passwd").read_bytes() == b"x"


@pytest.mark.parametrize("target", ["..", "/", "/tmp"])
def test_writing_through_a_link(layer: Layer, secret: Path, target: str) -> None:
    layer.add("out", LINK, linkname=target).add("out/secret", data=b"evil").refused()
    assert secret.read_text() == "secret"


def test_a_link_in_the_place_of_a_file_is_replaced(layer: Layer, secret: Path) -> None:
    layer.add("f", LINK, linkname=str(secret)).add("f", data=b"evil").unpack()
    assert secret.read_text() == "secret"
    assert (layer.root / "f").read_bytes() == b"evil"
    assert not (layer.root / "f").is_symlink()


@pytest.mark.parametrize("target", ["../secret", "a/../../secret", ".."])
def test_hard_link_upwards(layer: Layer, secret: Path, target: str) -> None:
    layer.add("h", HARD, linkname=target).refused()


def test_hard_link_to_an_absolute_path_stays_inside(layer: Layer, secret: Path) -> None:
    layer.add("h", HARD, linkname=str(secret)).refused("bad-archive")


def test_hard_link_through_a_link(layer: Layer, secret: Path) -> None:
    layer.add("out", LINK, linkname="..").add("h", HARD, linkname="out/secret").refused()


def test_hard_link_to_a_link_is_not_followed(layer: Layer, secret: Path) -> None:
    layer.add("l", LINK, linkname=str(secret)).add("h", HARD, linkname="l").add("h", data=b"evil").unpack()
    assert secret.read_text() == "secret"


def test_device_nodes_are_left_out(layer: Layer) -> None:
    layer.add("disk", tarfile.BLKTYPE, devmajor=8, devminor=0).add("mem", tarfile.CHRTYPE, devmajor=1, devminor=1)
    assert layer.unpack().files == 0
    assert os.listdir(layer.root) == []


def test_overlay_attributes_of_an_archive_are_left_out(layer: Layer) -> None:
    pax = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.trusted.overlay.opaque": "y"}
    layer.add("d", DIR, pax_headers=pax).unpack()
    assert not [name for name in os.listxattr(layer.root / "d") if "overlay" in name]


def test_whiteouts(layer: Layer) -> None:
    layer.add("d/.wh.gone").add("d/.wh..wh..opq").add(".wh..wh.plnk").unpack()
    gone = os.lstat(layer.root / "d/gone")
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(layer.root / "d", "trusted.overlay.opaque") == b"y"
    assert os.listdir(layer.root) == ["d"]


@pytest.mark.parametrize("name", [".wh...", ".wh..", ".wh."])
def test_whiteouts_of_what_is_no_name(layer: Layer, name: str) -> None:
    layer.add(f"d/{name}").refused()


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_removed_and_made_anew_is_opaque(layer: Layer, whiteout_first: bool) -> None:
    if whiteout_first:
        layer.add(".wh.d")
    layer.add("d", DIR).add("d/new")
    if not whiteout_first:
        layer.add(".wh.d")
    layer.unpack()
    assert os.getxattr(layer.root / "d", "trusted.overlay.opaque") == b"y"
    assert (layer.root / "d/new").exists()


def test_unlisted_directories_follow_the_layer_below(layer: Layer, tmp_path: Path) -> None:
    below = tmp_path / "below"
    (below / "home/me").mkdir(parents=True)
    os.chown(below / "home/me", 1000, 1001)
    os.chmod(below / "home/me", 0o2700)
    os.setxattr(below / "home/me", "user.x", b"y")
    os.utime(below / "home/me", (5, 5))
    layer.add("home/me/f").unpack(below)
    status = os.stat(layer.root / "home/me")
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_mtime) == (1000, 1001, 0o2700, 5)
    assert os.getxattr(layer.root / "home/me", "user.x") == b"y"


def test_hard_link_to_the_layer_below_is_copied_up(layer: Layer, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "f").write_text("below")
    os.chown(below / "f", 12, 13)
    layer.add("h", HARD, linkname="f").unpack(below)
    assert (layer.root / "h").read_text() == "below"
    assert os.stat(layer.root / "h").st_uid == 12
    assert os.stat(layer.root / "h").st_ino == os.stat(layer.root / "f").st_ino
    (layer.root / "h").write_text("changed")
    assert (below / "f").read_text() == "below"


def test_a_directory_that_becomes_a_file_and_back(layer: Layer) -> None:
    layer.add("x", DIR).add("x/inside/deep", data=b"1").add("x", data=b"file").add("x", DIR).add("x/y", data=b"2")
    layer.unpack()
    assert (layer.root / "x/y").read_bytes() == b"2"
    assert os.listdir(layer.root / "x") == ["y"]


def test_more_directories_than_may_be_open(layer: Layer) -> None:
    for number in range(700):
        layer.add(f"a/{number % 350}/b/{number}", data=b"x")
    assert layer.unpack().files == 700


def test_unknown_type(layer: Layer) -> None:
    layer.add("f", b"Z").refused("bad-archive")
