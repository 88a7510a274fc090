"""The main job: the quickstart comes up, answers, keeps its data, and goes away without a trace."""

from __future__ import annotations

import re
import time

import pytest

from tests.conftest import Box
from tests.integration import quickstart
from tests.leaks import leaked

pytestmark = pytest.mark.root


def test_up_answers_and_is_healthy(box: Box) -> None:
    port = quickstart.install(box)
    up = box.run("up")
    assert f"http://localhost:{port}" in up.stdout
    answers = {match[1] for _ in range(12) if (match := re.match(r"Hello from web (\d) in dev", quickstart.get(port)))}
    assert answers == {"1", "2"}, "both replicas share the port"
    by_name = {row["name"]: row for row in box.containers()}
    assert sorted(by_name) == [
        "quickstart-store-1", "quickstart-web-1", "quickstart-web-2", "quickstart-worker-mail-1",
        "quickstart-worker-thumbnails-1",
    ]  # fmt: skip
    for name in ("quickstart-store-1", "quickstart-web-1", "quickstart-web-2"):
        assert by_name[name]["health"] == "healthy"
    assert all(row["state"] == "running" for row in by_name.values())


def test_second_up_changes_nothing(box: Box) -> None:
    quickstart.install(box)
    box.run("up")
    before = {(row["id"], row["started_at"]) for row in box.containers()}
    second = box.run("up")
    assert "up to date" in second.stdout
    assert {(row["id"], row["started_at"]) for row in box.containers()} == before
    assert box.run("plan", "--exit-code").returncode == 0


def test_data_survives_down_and_goes_with_its_volume(box: Box) -> None:
    port = quickstart.install(box)
    box.run("up")
    assert items_at_start(box) == 0
    deadline = time.monotonic() + 20
    while quickstart.items(port) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    count = quickstart.items(port)
    assert count >= 2
    box.run("down")
    assert box.containers("quickstart") == []
    box.run("up")
    assert items_at_start(box) >= count
    box.run("down", "-v")
    box.run("up")
    assert items_at_start(box) == 0


def items_at_start(box: Box) -> int:
    """How many items the store found when it started, as its log says."""
    match = re.search(r"with (\d+) items", box.run("logs", "--no-log-prefix", "store").stdout)
    assert match
    return int(match[1])


@pytest.mark.alone
def test_down_with_volumes_leaves_nothing(box: Box) -> None:
    port = quickstart.install(box)
    box.run("build")
    watch = box.watch()
    before = watch.take()
    for _ in range(2):
        box.run("up")
        assert quickstart.items(port) >= 0
        box.run("exec", "-T", "store", "python3", "-c", "print(1)")
        box.run("down", "-v")
        left = leaked(before, watch.take)
        assert not left, left


def test_environment_of_the_stack(box: Box) -> None:
    port = quickstart.install(box)
    box.run("-E", "prod", "--set", f"port={port}", "--set", "replicas=3", "up")
    assert quickstart.get(port).startswith("Welcome from web ")
    assert len([row for row in box.containers() if row["service"] == "web"]) == 3
    box.run("up", code=5)
