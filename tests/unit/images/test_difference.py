"""An upper directory becomes a tar, and that tar becomes the same directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stackfile.images import difference, extract
from tests.unit.images.kit import opaque, tree, whiteout

pytestmark = pytest.mark.root


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for directory, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(directory, name)
            status = os.lstat(path)
            extended = () if path.is_symlink() else tuple((key, os.getxattr(path, key)) for key in os.listxattr(path))
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            found[str(path.relative_to(root))] = (
                status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime), status.st_nlink, status.st_rdev,
                content, extended,
            )  # fmt: skip
    return found


def test_there_and_back(tmp_path: Path) -> None:
    upper = tree(tmp_path / "upper", {"a/f": "text", "a/l": "→f", "o/new": "", "empty": None, "n" * 120: "long"})
    os.link(upper / "a/f", upper / "z-hard")
    os.mkfifo(upper / "p")
    os.chown(upper / "a", 3, 4)
    os.chmod(upper / "a/f", 0o4755)
    os.setxattr(upper / "a/f", "user.k", b"v")
    whiteout(upper / "a/gone")
    opaque(upper / "o")
    written = difference.write(str(upper), f"{tmp_path}/x.tar")
    again = tmp_path / "again"
    again.mkdir()
    extract.extract(f"{tmp_path}/x.tar", str(again))
    expected, found = listing(upper), listing(again)
    # The time of a whiteout says nothing.
    assert stat.S_ISCHR(found["a/gone"][0])  # type: ignore[arg-type]
    del expected["a/gone"], found["a/gone"]
    assert found == expected
    assert difference.write(str(upper), f"{tmp_path}/y.tar") == written


def test_overlay_bookkeeping_stays_behind(tmp_path: Path) -> None:
    upper = tree(tmp_path / "upper", {"d/f": "x"})
    os.setxattr(upper / "d", "trusted.overlay.origin", b"\0\1")
    difference.write(str(upper), f"{tmp_path}/x.tar")
    assert b"trusted.overlay" not in (tmp_path / "x.tar").read_bytes()
