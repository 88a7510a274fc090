"""Rows of state.db."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile.store import events
from stackfile.store.rows import ContainerRow, NetworkRow, VolumeRow
from stackfile.store.state import StateStore


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(str(tmp_path / "state.db"), "first")
    yield store
    store.close()


def test_the_engine_keeps_its_first_id(tmp_path: Path) -> None:
    StateStore(str(tmp_path / "state.db"), "first").close()
    again = StateStore(str(tmp_path / "state.db"), "second")
    assert again.engine_id == "first"
    again.close()


def test_containers(state: StateStore) -> None:
    row = ContainerRow("id1", "web-1", "p", "web", "{}", "{}", "{}", "2026-01-01", "stopped")
    state.put_container(row)
    state.put_container(replace(row, id="id0", name="older", created="2025-01-01"))
    state.put_container(replace(row, desired="running"))
    assert [found.id for found in state.list_containers()] == ["id0", "id1"]
    assert state.list_containers()[1].desired == "running"
    state.delete_container("id1")
    assert [found.id for found in state.list_containers()] == ["id0"]


def test_networks_volumes_projects(state: StateStore) -> None:
    state.put_network(NetworkRow("n1", "p_default", "p", "{}"))
    state.put_volume(VolumeRow("p_data", "p", "{}"))
    state.put_project("p", '{"name":"p"}')
    assert [row.name for row in state.list_networks()] == ["p_default"]
    assert state.get_volume("p_data") == VolumeRow("p_data", "p", "{}")
    assert state.get_project("p") == '{"name":"p"}'
    state.delete_network("n1")
    state.delete_volume("p_data")
    state.delete_project("p")
    assert (state.list_networks(), state.list_volumes(), state.list_projects()) == ([], [], [])


def test_the_last_content_put_is_the_current_one(state: StateStore) -> None:
    files = state.files
    files.put("p", "config", "web", "hmac:1")
    files.put("p", "config", "web", "hmac:2")
    assert files.current("p", "config", "web") == "hmac:2"
    files.put("p", "config", "web", "hmac:1")
    assert files.current("p", "config", "web") == "hmac:1"
    assert files.current("p", "config", "other") == ""
    assert {row.key for row in files.list("p")} == {"hmac:1", "hmac:2"}
    assert files.list("p", "secret") == []
    files.delete(files.by_key("hmac:1")[0])
    assert files.current("p", "config", "web") == "hmac:2"


def test_images_tags_and_cache(state: StateStore) -> None:
    images = state.images
    images.put_image("sha256:a", "A")
    images.put_tag("one", "sha256:a")
    images.put_tag("two", "sha256:a")
    images.put_cache("step:1", "x")
    assert images.list_images() == [("sha256:a", "A")]
    assert images.get_tag("one") == "sha256:a"
    assert images.list_cache() == [("step:1", "x")]
    images.delete_image("sha256:a")
    assert (images.list_images(), images.list_tags()) == ([], [])
    assert images.get_cache("step:1") == "x"


def test_what_goes_with_files_is_synced(state: StateStore) -> None:
    """WAL and NORMAL keep a commit when the process dies, FULL also when the machine does."""
    database = state.images._db
    assert database.one("PRAGMA journal_mode") == ("wal",)
    statements: list[str] = []
    database._connection.set_trace_callback(statements.append)
    state.images.put_image("sha256:a", "A")
    state.images.put_cache("step:1", "x")
    state.images.delete_image("sha256:a")
    state.files.put("p", "secret", "s", "key")
    state.images.put_tag("one", "sha256:b")
    database._connection.set_trace_callback(None)
    level, seen = "", {}
    for statement in statements:
        level = statement if statement.startswith("PRAGMA synchronous") else level
        if statement.startswith(("INSERT", "DELETE")):
            seen[statement.partition(" (")[0].partition(" VALUES")[0].partition(" WHERE")[0]] = level.partition("=")[2]
    assert seen == {
        "INSERT OR REPLACE INTO images": "FULL",
        "INSERT OR REPLACE INTO build_cache": "FULL",
        "DELETE FROM tags": "FULL",
        "DELETE FROM images": "FULL",
        "INSERT OR REPLACE INTO files": "FULL",
        "INSERT OR REPLACE INTO tags": "NORMAL",
    }


def test_event_numbers_are_never_given_twice(state: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT", 100)
    for number in range(1200):
        assert state.events.append(number, "container", "start", "id", "{}") == number + 1
    kept = state.events.since(0)
    assert kept[0].sequence == 901
    assert state.events.last() == 1200
    assert [row.sequence for row in state.events.since(1198)] == [1199, 1200]


def test_event_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "state.db")
    store = StateStore(path, "id")
    assert store.events.last() == 0
    store.events.append(1, "container", "start", "id", "{}")
    store.close()
    store = StateStore(path, "id")
    assert store.events.append(2, "container", "die", "id", "{}") == 2
    store.close()
