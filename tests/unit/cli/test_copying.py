"""Names of copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.cli import copying
from stackfile.errors import UsageError


@pytest.mark.parametrize(
    ("text", "container", "path"),
    [
        ("web:/etc/x", "web", "/etc/x"),
        ("web:relative", "web", "relative"),
        ("/a:b", "", "/a:b"),
        ("./a:b", "", "./a:b"),
        ("plain", "", "plain"),
        (":x", "", ":x"),
    ],
)
def test_what_is_in_a_container(text: str, container: str, path: str) -> None:
    assert copying.split(text) == (container, path)


def test_the_target_decides_the_name(tmp_path: Path) -> None:
    there = {"is_directory": True, "content": False}
    assert copying._placed(str(tmp_path), "src", **there) == ("src", str(tmp_path))
    assert copying._placed(str(tmp_path), "src", is_directory=True, content=True) == ("", str(tmp_path))
    assert copying._placed(str(tmp_path / "new"), "src", **there) == ("new", str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        copying._placed(str(tmp_path / "file"), "src", **there)
    with pytest.raises(UsageError):
        copying._placed(str(tmp_path / "no/where"), "src", **there)


def test_members_get_the_new_name() -> None:
    assert copying._renamed("src/deep/file", "src", "new") == "new/deep/file"
    assert copying._renamed("src", "src", "new") == "new"
    assert copying._renamed("./x", ".", "") == "x"
