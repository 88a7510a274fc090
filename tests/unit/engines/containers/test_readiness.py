"""What counts as ready, and where ports answer."""

from __future__ import annotations

from typing import Any

import pytest

from stackfile.engines import readiness
from stackfile.errors import ActionError
from stackfile.model.container import ContainerRecord, ContainerSpec, ContainerState, PublishedPort
from stackfile.model.stack import RestartPolicy


def record(*, policy: str = "no", ports: tuple[PublishedPort, ...] = (), **state: Any) -> ContainerRecord:
    spec = ContainerSpec(name="p-web-1", restart=RestartPolicy(name=policy))
    return ContainerRecord(id="c", spec=spec, state=ContainerState(**state), created="", published=ports)


def port(target: int, published: int, host_ip: str = "0.0.0.0", protocol: str = "tcp") -> PublishedPort:
    return PublishedPort(target=target, published=published, host_ip=host_ip, protocol=protocol)


@pytest.mark.parametrize("policy", ["no", "on-failure"])
def test_who_ends_well_and_may_rest_has_completed(policy: str) -> None:
    assert readiness._ended(record(policy=policy, status="exited")) == "completed"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "exited", "exit_code": 3}, "exited-early"),
        ({"status": "exited", "policy": "always"}, "exited-early"),
        ({"status": "exited", "stopped_by_user": True}, "exited-early"),
        ({"status": "exited", "exit_known": False}, "exited-early"),
        ({"status": "created"}, "not-running"),
    ],
)
def test_who_does_not_names_itself(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(ActionError) as caught:
        readiness._ended(record(**fields))
    assert (caught.value.reason, "p-web-1" in caught.value.message) == (reason, True)


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        ((port(8000, 8080),), "http://localhost:8080"),
        ((port(443, 8443), port(5432, 5432)), "https://localhost:8443, localhost:5432"),
        ((port(53, 5353, protocol="udp"),), "localhost:5353/udp"),
        ((port(80, 80, "192.0.2.7"),), "http://192.0.2.7:80"),
        ((), ""),
    ],
)
def test_addresses(ports: tuple[PublishedPort, ...], text: str) -> None:
    assert readiness.addresses([record(ports=ports), record(ports=ports)]) == text


def test_age_of_a_time() -> None:
    assert readiness._age("2020-01-01T00:00:00.123456789Z") > 1e8
    assert readiness._age("2020-01-01T00:00:00Z") > 1e8
    assert readiness._age("") == 0
