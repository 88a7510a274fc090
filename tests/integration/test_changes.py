"""A change of the file changes what it must and nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Box
from tests.integration import quickstart

pytestmark = pytest.mark.root


def identities(box: Box) -> dict[str, tuple[str, str]]:
    return {row["name"]: (row["id"], row["started_at"]) for row in box.containers()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


def memory_limit(box: Box, container: str) -> int:
    """The limit as the kernel has it, whatever version of cgroups."""
    for pattern, name in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        for path in Path("/sys/fs/cgroup", pattern, box.settings.cgroup_parent).glob(f"{container}*/{name}"):
            return int(path.read_text())
    raise AssertionError(f"no memory cgroup of {container}")


def test_changes_reach_only_what_they_concern(box: Box) -> None:
    port = quickstart.install(box)
    box.run("up")
    first = identities(box)

    # one environment variable of one service: that service alone, with a new container
    quickstart.edit(box, "mail: {every: 5}", "mail: {every: 4}")
    box.run("up")
    second = identities(box)
    assert changed(first, second) == {"quickstart-worker-mail-1"}
    assert first["quickstart-worker-mail-1"][0] != second["quickstart-worker-mail-1"][0]

    # its memory limit: in place
    quickstart.edit(box, "mem_limit: 64m", "mem_limit: 96m")
    planned = box.json("plan")
    assert {(a["address"], a["action"]) for a in planned["actions"] if a["action"] != "keep"} == {
        ("service.web", "update")
    }
    box.run("up")
    third = identities(box)
    assert third == second
    web = next(row for row in box.containers() if row["name"] == "quickstart-web-1")
    assert memory_limit(box, web["id"]) == 96 * 2**20

    # a config's content: noticed, and its on_change (SIGHUP) obeyed
    quickstart.edit(box, "greeting: Hello", "greeting: Servus")
    box.run("up")
    assert identities(box) == third
    deadline = time.monotonic() + 5
    while not quickstart.get(port).startswith("Servus") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert quickstart.get(port).startswith("Servus from web ")

    # on_change: restart keeps the container
    quickstart.edit(box, "on_change: SIGHUP", "on_change: restart")
    quickstart.edit(box, "greeting: Servus", "greeting: Ahoj")
    box.run("up")
    fourth = identities(box)
    webs = {"quickstart-web-1", "quickstart-web-2"}
    assert changed(third, fourth) == webs
    assert quickstart.get(port).startswith("Ahoj from web ")

    # an image's file: its services are recreated
    app = box.directory / "app" / "web.py"
    app.write_text(app.read_text().replace("The store holds", "The store now holds"))
    box.run("up")
    fifth = identities(box)
    assert all(fifth[name][0] != fourth[name][0] for name in webs)
    assert box.run("up").stdout.count("up to date") == 1


def test_scale_and_orphans(box: Box) -> None:
    quickstart.install(box)
    box.run("up")
    before = identities(box)
    box.run("up", "--scale", "web=3")
    assert changed(before, identities(box)) == {"quickstart-web-3"}
    box.run("up")
    assert identities(box) == before
    quickstart.edit(box, "    thumbnails: {every: 30}\n", "")
    box.run("up")
    assert identities(box) == before, "orphans stay until they are asked to go"
    box.run("up", "--remove-orphans")
    assert changed(before, identities(box)) == {"quickstart-worker-thumbnails-1"}
