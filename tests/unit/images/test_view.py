"""The merged view shows what overlay would, and never leaves its root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.images.view import MergedView
from tests.unit.images.kit import opaque, tree, whiteout

pytestmark = pytest.mark.root


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    low = tree(tmp_path / "low", {"etc/a": "low a", "etc/b": "low b", "d/x": "low x", "gone/f": "", "was": "file"})
    top = tree(tmp_path / "top", {"etc/a": "top a", "etc/c": "top c", "d/y": "top y", "was/now": "dir"})
    whiteout(top / "etc/b")
    whiteout(top / "gone")
    opaque(top / "d")
    return [str(top), str(low)]


def test_upper_files_win(layers: list[str]) -> None:
    with MergedView(layers) as view:
        assert view.read("/etc/a", 99) == b"top a"
        assert view.read("etc/c", 99) == b"top c"
        assert view.read("/was/now", 99) == b"dir"


def test_whiteouts_and_opaque_directories_hide(layers: list[str]) -> None:
    with MergedView(layers) as view:
        assert view.read("/etc/b", 99) is None
        assert view.lookup("/gone") is None
        assert view.lookup("/gone/f") is None
        assert view.read("/d/x", 99) is None
        assert view.read("/d/y", 99) == b"top y"
        with view.root() as root:
            assert view.names(root) == ["d", "etc", "was"]
            assert [node.path for node in view.walk(root)] == [
                "/d", "/d/y", "/etc", "/etc/a", "/etc/c", "/was", "/was/now",
            ]  # fmt: skip


@pytest.mark.parametrize("link", ["/etc/passwd", "../../../../../etc/passwd", "/loop/../etc/passwd"])
def test_links_stay_inside(tmp_path: Path, link: str) -> None:
    root = tree(tmp_path / "r", {"etc/passwd": "inside", "loop": "→/", "l": f"→{link}", "deep/er/l": "→/l"})
    with MergedView([str(root)]) as view:
        assert view.read("/l", 99) == b"inside"
        assert view.read("/deep/er/l", 99) == b"inside"
        assert view.read("../../l", 99) == b"inside"


def test_a_loop_of_links(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", {"a": "→b", "b": "→a"})
    with MergedView([str(root)]) as view:
        assert view.lookup("/a") is None
        with pytest.raises(ActionError):
            view.canonical("/a/x")


def test_canonical_keeps_what_does_not_exist(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", {"usr/lib": None, "lib": "→usr/lib", "f": "x"})
    with MergedView([str(root)]) as view:
        assert view.canonical("/lib/new/file") == "/usr/lib/new/file"
        assert view.canonical("/f/below") == "/f/below"
        assert view.canonical("/lib/../x") == "/usr/x"


def test_limit(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", {"f": "12345"})
    with MergedView([str(root)]) as view:
        assert view.read("/f", 5) == b"12345"
        with pytest.raises(ActionError) as caught:
            view.read("/f", 4)
    assert caught.value.reason == "action-failed"


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    root = tree(tmp_path / "r", {"d": None})
    os.mkfifo(root / "p")
    with MergedView([str(root)]) as view:
        assert view.read("/p", 9) is None
        assert view.read("/d", 9) is None


def test_no_fds_are_left(layers: list[str]) -> None:
    before = os.listdir("/proc/self/fd")
    with MergedView(layers) as view:
        for path in ("/etc/a", "/nowhere/x", "/etc/a/x", "/gone", "/d/../etc"):
            node = view.lookup(path)
            if node:
                node.close()
            view.canonical(path)
        with view.root() as root:
            list(view.walk(root))
    assert os.listdir("/proc/self/fd") == before
