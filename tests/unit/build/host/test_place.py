"""A host tree meets what an image has already."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.build.host import place
from stackfile.build.host.files import HostFile
from stackfile.build.host.tree import HostTree
from stackfile.images.archive import Member
from stackfile.images.view import MergedView
from tests.unit.images.kit import tree

MERGED = HostTree(
    digest="",
    watched={},
    files=(
        HostFile(path="/etc", type="dir", mode=0o755, extra=True),
        HostFile(path="/etc/passwd", type="file", mode=0o644, data="root:x", extra=True),
        HostFile(path="/lib64", type="symlink", mode=0o777, target="usr/lib64"),
        HostFile(path="/usr", type="dir", mode=0o755),
        HostFile(path="/usr/lib64", type="dir", mode=0o755),
        HostFile(path="/usr/lib64/ld.so", type="file", mode=0o755, size=1, digest="sha256:x"),
    ),
    aliases={"/lib64/ld.so": "/usr/lib64/ld.so"},
)


def placed(below: Path | None, host: HostTree = MERGED) -> dict[str, Member]:
    with MergedView([str(below)] if below else []) as view:
        return {member.path: member for member in place.members(host, view)}


def test_on_nothing() -> None:
    found = placed(None)
    assert list(found) == ["etc", "etc/passwd", "lib64", "usr", "usr/lib64", "usr/lib64/ld.so"]
    assert found["etc/passwd"].content == b"root:x"


def test_what_the_image_has_stays(tmp_path: Path) -> None:
    found = placed(tree(tmp_path / "i", {"etc/passwd": "mine", "usr": None}))
    assert "etc/passwd" not in found
    assert "usr" not in found


def test_a_directory_in_the_place_of_a_link(tmp_path: Path) -> None:
    found = placed(tree(tmp_path / "i", {"lib64/other": ""}))
    assert found["lib64/ld.so"].target == "/usr/lib64/ld.so"
    assert found["usr/lib64/ld.so"].type == "file"
    assert "lib64" not in found


def test_a_link_in_the_place_of_a_directory(tmp_path: Path) -> None:
    found = placed(tree(tmp_path / "i", {"real/x": "", "usr": "→real"}))
    assert "real/lib64/ld.so" in found
    assert "usr/lib64/ld.so" not in found


@pytest.mark.parametrize("present", ["old", "→elsewhere"])
def test_programs_replace_files(tmp_path: Path, present: str) -> None:
    found = placed(tree(tmp_path / "i", {"usr/lib64/ld.so": present}))
    assert found["usr/lib64/ld.so"].type == "file"
