"""Root file systems of containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackfile.errors import NotFoundError
from stackfile.images.snapshots import Snapshots
from stackfile.images.store import ImageStore
from stackfile.model.image import ImageConfig, ImageRecord
from tests.unit.images.kit import add_layer, open_store, tree, whiteout

pytestmark = pytest.mark.root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    with open_store(tmp_path / "state") as store:
        yield store


@pytest.fixture
def image(store: ImageStore) -> ImageRecord:
    low = add_layer(store, "low")
    return store.add(ImageConfig(), [low, add_layer(store, "top", low.chain_id)])


def test_overlay(store: ImageStore, image: ImageRecord) -> None:
    os.chmod(store.lower(image.id)[0], 0o711)
    snapshots = Snapshots(store.paths, store, "overlay")
    root = snapshots.prepare("c1", image.id)
    assert root.kind == "overlay"
    assert root.lower == store.lower(image.id)
    assert os.listdir(root.upper) == os.listdir(root.work) == []
    assert os.stat(root.upper).st_mode & 0o7777 == 0o711
    Path(root.upper, "mine").write_text("x")
    assert snapshots.prepare("c1", image.id) == snapshots.get("c1") == root
    assert snapshots.read_file(root, "/f") == b"top"
    assert snapshots.read_file(root, "/mine") == b"x"
    snapshots.remove("c1")
    snapshots.remove("c1")
    assert not os.path.exists(root.upper)
    with pytest.raises(NotFoundError):
        snapshots.get("c1")


def test_a_half_made_one_is_made_anew(store: ImageStore, image: ImageRecord) -> None:
    snapshots = Snapshots(store.paths, store, "overlay")
    tree(Path(store.paths.container("c1")), {"upper/half": "", "work/x": ""})
    assert os.listdir(snapshots.prepare("c1", image.id).upper) == []


def test_vfs_is_a_copy(store: ImageStore, image: ImageRecord) -> None:
    snapshots = Snapshots(store.paths, store, "vfs")
    root = snapshots.prepare("c1", image.id)
    assert (root.kind, root.lower) == ("vfs", ())
    assert Path(root.upper, "f").read_text() == "top"
    assert snapshots.read_file(root, "/f") == b"top"


def test_the_kind_fits_the_machine(store: ImageStore) -> None:
    assert Snapshots(store.paths, store).kind in ("overlay", "vfs")


def test_a_volume_takes_everything(store: ImageStore, image: ImageRecord, tmp_path: Path) -> None:
    snapshots = Snapshots(store.paths, store, "overlay")
    root = snapshots.prepare("c1", image.id)
    upper = tree(Path(root.upper), {"data/a/f": "text", "data/l": "→/outside", "data/p/q": ""})
    os.link(upper / "data/a/f", upper / "data/h")
    os.chown(upper / "data", 1000, 1001)
    os.chmod(upper / "data", 0o2770)
    os.setxattr(upper / "data/a/f", "user.k", b"v")
    os.utime(upper / "data/a", (7, 7))
    whiteout(upper / "data/gone")
    volume = tree(tmp_path / "volume", {})
    snapshots.fill_volume(root, "/data", str(volume))
    status = os.stat(volume)
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1000, 1001, 0o2770)
    assert sorted(os.listdir(volume)) == ["a", "h", "l", "p"]
    assert os.stat(volume / "h").st_ino == os.stat(volume / "a/f").st_ino
    assert os.getxattr(volume / "a/f", "user.k") == b"v"
    assert os.readlink(volume / "l") == "/outside"
    assert os.stat(volume / "a").st_mtime == 7


@pytest.mark.parametrize("path", ["/nowhere", "/f"])
def test_nothing_to_fill_from(store: ImageStore, image: ImageRecord, tmp_path: Path, path: str) -> None:
    snapshots = Snapshots(store.paths, store, "overlay")
    volume = tree(tmp_path / "volume", {})
    snapshots.fill_volume(snapshots.prepare("c1", image.id), path, str(volume))
    assert os.listdir(volume) == []
