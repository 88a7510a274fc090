"""Contexts at the engine: verified, and kept inside."""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile import wire
from stackfile.build import contexts
from stackfile.build.contexts import ContextStore
from stackfile.digest import sha256
from stackfile.errors import ActionError, NotFoundError
from stackfile.images.blobs import BlobStore
from stackfile.model.image import ContextEntry, ContextManifest
from stackfile.paths import StatePaths


@pytest.fixture
def store(tmp_path: Path) -> ContextStore:
    paths = StatePaths(str(tmp_path))
    return ContextStore(paths, BlobStore(paths.blobs, paths.temporary))


def manifest(*entries: ContextEntry) -> bytes:
    return wire.canonical(ContextManifest(entries=entries))


FILE = ContextEntry(path="a/f", type="file", mode=0o644, size=1, digest=sha256(b"x"))


def test_missing_until_sent(store: ContextStore, tmp_path: Path) -> None:
    data = manifest(FILE, ContextEntry(path="g", type="file", mode=0o644, size=1, digest=FILE.digest))
    assert store.add(sha256(data), data) == [FILE.digest]
    BlobStore(f"{tmp_path}/blobs", f"{tmp_path}/tmp").put([b"x"])
    assert store.missing(sha256(data)) == []
    assert store.blobs() == {FILE.digest}


def test_kept_on_disk(store: ContextStore, tmp_path: Path) -> None:
    data = manifest(FILE)
    store.add(sha256(data), data)
    paths = StatePaths(str(tmp_path))
    assert ContextStore(paths, BlobStore(paths.blobs, paths.temporary)).get(sha256(data)).entries == (FILE,)


def test_wrong_digest(store: ContextStore) -> None:
    with pytest.raises(ActionError) as caught:
        store.add(sha256(b"other"), manifest(FILE))
    assert caught.value.reason == "digest-mismatch"


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", "", "a\0b"])
def test_paths_outside(store: ContextStore, path: str) -> None:
    data = manifest(ContextEntry(path=path, type="file", mode=0o644, digest=FILE.digest))
    with pytest.raises(ActionError) as caught:
        store.add(sha256(data), data)
    assert caught.value.reason == "unsafe-path"


@pytest.mark.parametrize(
    "data",
    [b"{}", b"[]", manifest(ContextEntry(path="d", type="char", mode=0)),
     manifest(ContextEntry(path="f", type="file", mode=0, digest="x"))],
)  # fmt: skip
def test_malformed(store: ContextStore, data: bytes) -> None:
    with pytest.raises(ActionError) as caught:
        store.add(sha256(data), data)
    assert caught.value.reason == "bad-request"


def test_unknown(store: ContextStore) -> None:
    with pytest.raises(NotFoundError):
        store.get(sha256(b"nowhere"))


def test_old_ones_are_forgotten(store: ContextStore, tmp_path: Path) -> None:
    data = manifest(FILE)
    store.add(sha256(data), data)
    os.utime(f"{tmp_path}/contexts/{sha256(data)[7:]}.json", (1, 1))
    store.recover()
    assert store.blobs() == set()


def test_few_are_remembered_and_all_are_found(store: ContextStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "_ENTRIES", 10)
    sent = [manifest(*(replace(FILE, path=f"{number}/{item}") for item in range(3))) for number in range(9)]
    for data in sent:
        store.add(sha256(data), data)
    for number, data in enumerate(sent):
        assert store.get(sha256(data)).entries[0].path == f"{number}/0"
        assert len(store.part(sha256(data), [f"{number}/1"])[1].entries) == 1
    remembered = [item for item in gc.get_objects() if isinstance(item, ContextManifest) and len(item.entries) == 3]
    assert len(remembered) <= 3
