"""Port maps of Docker's API."""

from __future__ import annotations

import pytest

from stackfile.daemon.dockerjson import ports
from stackfile.errors import ActionError
from stackfile.model.container import ContainerRecord, ContainerSpec, ContainerState, PublishedPort
from stackfile.model.stack import Port

RANGE = Port(target=80, published=8000, published_last=8005)


def test_range_of_host_ports_there_and_back() -> None:
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": "8000-8005"}]}
    assert ports.decode(bindings) == (RANGE,)
    assert ports.bindings((RANGE,)) == bindings
    assert ports.decode({"80/tcp": [{"HostPort": "8000-8000"}]}) == (Port(target=80, published=8000),)


@pytest.mark.parametrize("text", ["8005-8000", "x", "1-x", "65536", "1-65536"])
def test_what_is_no_host_port(text: str) -> None:
    with pytest.raises(ActionError) as caught:
        ports.decode({"80/tcp": [{"HostPort": text}]})
    assert caught.value.reason == "bad-request"


@pytest.mark.parametrize(
    ("asked", "hosts"),
    [
        (RANGE, ["0.0.0.0", "::"]),
        (Port(target=80), ["0.0.0.0", "::"]),
        (Port(target=80, published=8003), ["0.0.0.0", "::"]),
        (Port(target=80, published=8003, host_ip="0.0.0.0"), ["0.0.0.0"]),
    ],
)
def test_port_of_no_address_answers_in_both_families(asked: Port, hosts: list[str]) -> None:
    record = ContainerRecord(
        id="c" * 64,
        spec=ContainerSpec(ports=(asked,)),
        state=ContainerState(status="running"),
        created="",
        published=(PublishedPort(target=80, published=8003, host_ip="0.0.0.0", protocol="tcp"),),
    )
    rows = ports.network_ports(record, ())["80/tcp"] or []
    assert [(row["HostIp"], row["HostPort"]) for row in rows] == [(host, "8003") for host in hosts]
