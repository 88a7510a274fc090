"""What counts as ready, and where ports answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
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


def test_callers_of_one_moment_share_a_look_and_later_ones_have_their_own() -> None:
    class Lists:
        looks = 0

        async def container_list(self, *, project: str) -> list[ContainerRecord]:
            self.looks += 1
            await asyncio.sleep(0)
            return [record(status=str(self.looks))]

    async def main() -> None:
        lists = Lists()
        listing = readiness.Listing(lists)  # type: ignore[arg-type]
        first = [asyncio.ensure_future(listing.of("p")) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        later = await listing.of("p")
        assert [item[0].state.status for item in [*(await asyncio.gather(*first)), later]] == ["1", "1", "1", "2"]

    asyncio.run(main())


def test_of_two_containers_of_an_index_the_running_one_counts() -> None:
    marks = {"com.docker.compose.service": "web", "com.docker.compose.container-number": "1"}
    pair = [replace(record(status=status), id=status, spec=ContainerSpec(name=status, labels=marks))
            for status in ("running", "exited")]  # fmt: skip
    assert [item.id for item in readiness.replicas(pair, "web")] == ["running"]
    assert readiness.replicas(pair, "web", [2]) == readiness.replicas(pair, "db") == []
