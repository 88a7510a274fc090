"""Drift for people."""

from __future__ import annotations

import time

import pytest

from stackfile.cli.output import drift
from stackfile.model.observed import Drift, Project
from stackfile.model.stack import Service, Stack
from tests.unit.cli.output.consoles import console

PROJECT = Project(
    name="p",
    stack=Stack(
        name="p",
        services={"web": Service(name="web", image="a", replicas=2), "job": Service(name="job", image="a")},
    ),
)
ID = "3f2a" * 16


def lines(*found: Drift) -> list[str]:
    return drift.render(PROJECT, found, console()).splitlines()


def test_none() -> None:
    assert lines() == ["p is as it was applied."]


def test_a_limit_a_stopped_one_and_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert lines(
        Drift(
            address="service.web",
            field="memory",
            expected="100663296",
            actual="33554432",
            place=f"/sys/fs/cgroup/stackfile/{ID}/memory.max",
            container=ID,
            index=2,
        ),
        Drift(
            address="service.job",
            field="running",
            expected="running",
            actual="exited 137",
            place="restart: no",
            index=1,
            since="2026-11-24T14:03:11.123Z",
        ),
        Drift(address="service.web", field="missing", expected="replica 1", actual="none", place="removed", index=1),
    ) == [
        " ~   service.web[2]  memory.max   100663296 → 33554432    /sys/fs/cgroup/stackfile/3f2a3f2a3f2a…/memory.max",
        " >   service.job     not running  exited 137 at 14:03:11  restart: no",
        " +   service.web[1]  missing      replica 1               removed",
        "3 resources drifted. `stackfile up` repairs them.",
    ]
