"""The table of ps, and its JSON shape."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from stackfile.cli.output import containers
from stackfile.model import labels
from stackfile.model.container import ContainerRecord, ContainerSpec, ContainerState, Health, PublishedPort
from stackfile.model.stack import Resources

NOW = datetime(2026, 11, 24, 12, 1, 5, tzinfo=UTC)
MIB = 1 << 20


def record(service: str, number: int, *, memory: int = 0, limit: int = 0, ports: Any = (), **state: Any) -> Any:
    health = Health(status=state.pop("health", "none"))
    state = {"status": "running", "started_at": "2026-11-24T12:00:00.123456789Z", **state}
    return ContainerRecord(
        id=f"{service}{number}" * 8,
        created="2026-11-24T12:00:00Z",
        spec=ContainerSpec(
            name=f"quickstart-{service}-{number}",
            image="sha256:1",
            image_name="app",
            resources=Resources(memory=limit),
            labels={labels.PROJECT: "quickstart", labels.SERVICE: service, labels.NUMBER: str(number)},
        ),
        state=ContainerState(health=health, **state),
        memory=memory,
        published=ports,
    )


PORT = (PublishedPort(target=8000, published=8080, host_ip="0.0.0.0", protocol="tcp"),)


def test_the_tour() -> None:
    rows = [
        record("web", 1, memory=11 * MIB, limit=96 * MIB, ports=PORT, health="healthy"),
        record("web", 2, memory=11 * MIB, limit=96 * MIB, ports=PORT, health="healthy"),
        record("worker-mail", 1, memory=9 * MIB),
        record("store", 1, status="exited", exit_code=137),
    ]
    assert containers.render(rows, NOW).splitlines() == [
        "NAME           SERVICE      STATUS        MEMORY       PORTS            UP",
        "web-1          web          healthy       11 / 96 MiB  *:8080→8000/tcp  1 min",
        "web-2          web          healthy       11 / 96 MiB  (same)           1 min",
        "worker-mail-1  worker-mail  running        9 MiB                        1 min",
        "store-1        store        exited (137)",
    ]


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"health": "starting"}, "starting"),
        ({"health": "unhealthy"}, "unhealthy"),
        ({"status": "created"}, "created"),
        ({"status": "restarting"}, "restarting"),
        ({"status": "exited", "exit_known": False}, "exited (?)"),
    ],
)
def test_status(state: dict[str, Any], text: str) -> None:
    assert containers.status(record("web", 1, **state)) == text


def port(published: int, target: int, host_ip: str = "0.0.0.0", protocol: str = "tcp") -> PublishedPort:
    return PublishedPort(target=target, published=published, host_ip=host_ip, protocol=protocol)


@pytest.mark.parametrize(
    ("published", "text"),
    [
        ([], ""),
        ([port(80, 80), port(80, 80, "::")], "*:80→80/tcp"),
        ([port(80, 80, "127.0.0.1"), port(53, 53, protocol="udp")], "*:53→53/udp, 127.0.0.1:80→80/tcp"),
        ([port(8000, 9000), port(8001, 9001), port(8002, 9002)], "*:8000-8002→9000-9002/tcp"),
    ],
)
def test_ports(published: list[PublishedPort], text: str) -> None:
    assert containers.ports(published) == text


def test_json_shape() -> None:
    plain = containers.to_plain(record("web", 2, memory=5, limit=9, ports=PORT, health="healthy"))
    expected = {"service": "web", "number": 2, "state": "running", "health": "healthy", "exit_code": None, "memory": 5}
    assert {name: plain[name] for name in expected} == expected
    assert plain["ports"] == [{"host_ip": "0.0.0.0", "published": 8080, "target": 8000, "protocol": "tcp"}]
    assert containers.to_plain(record("a", 1, status="exited", exit_code=3))["exit_code"] == 3


@pytest.mark.parametrize("text", ["", "0001-01-01T00:00:00Z"])
def test_no_time(text: str) -> None:
    assert containers.parse_time(text) is None
