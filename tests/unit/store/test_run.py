"""Intents, leases and processes of one boot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stackfile.store.rows import PortRow, RunningRow
from stackfile.store.run import RunStore


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunStore]:
    store = RunStore(str(tmp_path / "run.db"), "boot-1")
    yield store
    store.close()


def test_a_reboot_empties_it(tmp_path: Path) -> None:
    path = str(tmp_path / "run.db")
    store = RunStore(path, "boot-1")
    assert store.fresh
    store.put_running(RunningRow("c", 12, 34))
    store.close()
    store = RunStore(path, "boot-1")
    assert not store.fresh
    assert store.list_running() == [RunningRow("c", 12, 34)]
    store.close()
    store = RunStore(path, "boot-2")
    assert store.fresh
    assert store.list_running() == []
    store.close()


def test_intents_stay_until_done(run: RunStore) -> None:
    first = run.begin("engine.start", "c1", "{}")
    run.begin("network.forward", "ip", "{}")
    run.done(first)
    assert [(intent.kind, intent.key) for intent in run.intents()] == [("network.forward", "ip")]


def test_an_address_has_one_owner(run: RunStore) -> None:
    assert run.lease("n", ["10.0.0.2"], "a") == "10.0.0.2"
    assert run.lease("n", ["10.0.0.2"], "a") == "10.0.0.2"
    assert run.lease("n", ["10.0.0.2"], "b") == ""
    assert run.lease("n", ["10.0.0.2", "10.0.0.3"], "b") == "10.0.0.3"
    assert run.lease("other", ["10.0.0.2"], "b") == "10.0.0.2"
    run.release("b", "n")
    assert [lease.network for lease in run.leases_of("b")] == ["other"]
    run.release("b")
    assert run.leases_of("b") == []
    run.release_network("n")
    assert run.leases("n") == []


def test_ports(run: RunStore) -> None:
    run.put_port(PortRow("p/web", "tcp", "", 8080))
    assert run.list_ports() == [PortRow("p/web", "tcp", "", 8080)]
    run.delete_port("tcp", "", 8080)
    assert run.list_ports() == []
