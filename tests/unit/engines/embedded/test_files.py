"""The content store of configs and secrets."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackfile.engines.embedded.files import FileStore
from stackfile.errors import NotFoundError
from stackfile.model.stack import Generate, SecretRef
from stackfile.store.state import StateStore


@pytest.fixture
def used() -> set[str]:
    return set()


@pytest.fixture
def files(tmp_path: Path, used: set[str]) -> Iterator[FileStore]:
    state = StateStore(str(tmp_path / "state.db"), "id")
    in_use: Callable[[], set[str]] = lambda: used  # noqa: E731
    yield FileStore(str(tmp_path / "files"), b"k" * 32, state.files, in_use)
    state.close()


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


def test_content_is_found_by_its_key_and_private(files: FileStore, tmp_path: Path) -> None:
    key = files.put("p", "config", "web@web/1", b"hello")
    assert key == files.key(b"hello")
    assert files.read(key, "web") == b"hello"
    assert [stat.S_IMODE(path.stat().st_mode) for path in kept(tmp_path)] == [0o600]
    assert files.names("p", "config") == ["web@web/1"]


def test_superseded_content_stays_while_a_container_has_it(files: FileStore, used: set[str], tmp_path: Path) -> None:
    first = files.put("p", "config", "web", b"1")
    used.add(first)
    files.put("p", "config", "web", b"2")
    assert files.read(first, "web") == b"1"
    used.clear()
    files.put("p", "config", "web", b"3")
    with pytest.raises(NotFoundError):
        files.read(first, "web")
    assert len(kept(tmp_path)) == 1


def test_a_secret_is_generated_once(files: FileStore) -> None:
    generate = Generate(length=20, charset="hex")
    assert files.resolve_secret("p", "token", None, generate, create=False) == ""
    key = files.resolve_secret("p", "token", None, generate, create=True)
    assert files.resolve_secret("p", "token", None, generate, create=True) == key
    assert files.resolve_secret("p", "token", None, generate, create=False) == key
    content = files.read(key, "token")
    assert len(content) == 20
    assert set(content) <= set(b"0123456789abcdef")


def test_a_secret_composed_of_others(files: FileStore) -> None:
    content = ("postgres://app:", SecretRef("password"), "@db")
    assert files.resolve_secret("p", "url", content, None, create=False) == ""
    with pytest.raises(NotFoundError):
        files.resolve_secret("p", "url", content, None, create=True)
    files.put("p", "secret", "password", b"pw")
    foreseen = files.resolve_secret("p", "url", content, None, create=False)
    assert files.names("p", "secret") == ["password"]
    assert files.resolve_secret("p", "url", content, None, create=True) == foreseen
    assert files.read(foreseen, "url") == b"postgres://app:pw@db"


def test_removal_by_name_kind_and_project(files: FileStore, tmp_path: Path) -> None:
    for kind, name in (("config", "a"), ("config", "b"), ("secret", "a")):
        files.put("p", kind, name, name.encode())
    files.put("other", "config", "a", b"a")
    files.remove("p", "config", "a")
    assert files.names("p", "config") == ["b"]
    files.remove("p", "config")
    assert files.names("p", "secret") == ["a"]
    files.remove("p")
    assert not (tmp_path / "files" / "p").exists()
    assert files.names("other", "config") == ["a"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "a/b", ".hidden"])
def test_no_name_leads_outside(files: FileStore, tmp_path: Path, name: str) -> None:
    key = files.put("p", "secret", name, b"x")
    (path,) = kept(tmp_path)
    assert path.parent.parent == tmp_path / "files" / "p" / "secret"
    assert files.read(key, name) == b"x"


def test_a_removal_that_was_killed_leaves_nothing_that_counts(files: FileStore, tmp_path: Path) -> None:
    config = files.put("p", "config", "web", b"hello")
    secret = files.resolve_secret("p", "key", None, Generate(length=8), create=True)
    for path in kept(tmp_path):
        path.unlink()  # the rows are still there
    assert files.names("p", "config") == []
    assert files.put("p", "config", "web", b"hello") == config
    assert files.read(config, "web") == b"hello"
    again = files.resolve_secret("p", "key", None, Generate(length=8), create=True)
    assert again != secret
    assert len(files.read(again, "key")) == 8


def test_what_a_killed_process_wrote_and_did_not_record_is_swept(files: FileStore, tmp_path: Path) -> None:
    key = files.put("p", "secret", "token", b"kept")
    (recorded,) = kept(tmp_path)
    recorded.with_name("0123.part").write_bytes(b"half")
    other = tmp_path / "files/other/secret/token/4567"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"whole")
    files.sweep()
    assert kept(tmp_path) == [recorded]
    assert (files.read(key, "token"), other.parents[2].exists()) == (b"kept", False)
