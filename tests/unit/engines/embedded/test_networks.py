"""Records, subnets and addresses, on a kernel that is only remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.registry import Registry
from stackfile.errors import ActionError, ConflictError, StackfileError
from stackfile.model.container import NetworkRecord
from stackfile.model.stack import Attachment
from stackfile.network.manager import NetworkManager
from stackfile.store.run import RunStore
from stackfile.store.state import StateStore


class Kernel:
    """Remembers which bridges there are."""

    def __init__(self) -> None:
        self.bridges: list[str] = []
        self.fails = False
        self.taken: list[str] = []
        """Subnets that somebody else takes after they were chosen."""

    def choose_subnet(self, taken: Sequence[str]) -> tuple[str, str]:
        number = len(taken)
        return f"10.9.{number}.0/29", f"10.9.{number}.1"

    def bridge_name(self, record: NetworkRecord) -> str:
        return f"sf{record.id[:10]}"

    def create(self, record: NetworkRecord) -> NetworkRecord:
        if record.subnets[0] in self.taken:
            self.taken.remove(record.subnets[0])
            self.bridges.append(record.name)
            raise ConflictError("conflict", "taken meanwhile")
        self.bridges.append(record.name)
        if self.fails:
            raise ActionError("kernel", "no address today")
        return replace(record, interface=f"sf{record.id[:10]}")

    def remove(self, record: NetworkRecord) -> None:
        self.bridges.remove(record.name)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def networks(tmp_path: Path, kernel: Kernel) -> Iterator[Networks]:
    state = StateStore(str(tmp_path / "state.db"), "id")
    run = RunStore(str(tmp_path / "run.db"), "boot")
    yield Networks(state, run, cast(NetworkManager, kernel), Registry(state), Bus(state.events))
    state.close()
    run.close()


def create(networks: Networks, name: str, **fields: object) -> NetworkRecord:
    return networks.create(NetworkRecord(id="", name=name, **fields))  # type: ignore[arg-type]


def address(networks: Networks, record: NetworkRecord, owner: str, wanted: str = "") -> str:
    return networks.endpoint(record, owner, Attachment(network=record.name, ipv4=wanted), None).ipv4


def refused(networks: Networks, record: NetworkRecord, owner: str, wanted: str) -> str:
    with pytest.raises(StackfileError) as caught:
        address(networks, record, owner, wanted)
    return caught.value.reason


def test_what_is_not_said_is_chosen(networks: Networks) -> None:
    record = create(networks, "p_default")
    assert (record.subnets, record.gateways, record.driver) == (("10.9.0.0/29",), ("10.9.0.1",), "bridge")
    assert record.interface.startswith("sf")
    assert networks.find("p_default") == networks.find(record.id[:6]) == record
    own = create(networks, "own", subnets=("192.0.2.0/24",))
    assert own.gateways == ("192.0.2.1",)


def test_names_and_subnets_are_unique(networks: Networks) -> None:
    create(networks, "a", subnets=("192.0.2.0/24",))
    for fields, reason in (
        ({"name": "a"}, "name-taken"),
        ({"name": "b", "subnets": ("192.0.2.128/25",)}, "conflict"),
        ({"name": "b", "subnets": ("nonsense",)}, "bad-request"),
        ({"name": "b", "driver": "overlay"}, "bad-request"),
    ):
        with pytest.raises(StackfileError) as caught:
            create(networks, **fields)
        assert caught.value.reason == reason


def test_a_creation_that_fails_leaves_no_record(networks: Networks, kernel: Kernel) -> None:
    kernel.fails = True
    with pytest.raises(ActionError):
        create(networks, "a")
    assert (networks.list(), kernel.bridges) == ([], [])
    kernel.fails = False
    create(networks, "a")


def test_addresses_rest_before_they_are_given_again(networks: Networks) -> None:
    record = create(networks, "n")
    assert [address(networks, record, owner) for owner in "abc"] == ["10.9.0.2", "10.9.0.3", "10.9.0.4"]
    assert address(networks, record, "b") == "10.9.0.3"
    networks.release("b")
    assert address(networks, record, "d") == "10.9.0.5"
    assert address(networks, record, "e") == "10.9.0.6"
    assert address(networks, record, "f") == "10.9.0.3"
    assert refused(networks, record, "g", "") == "address-exhausted"


def test_the_previous_address_is_preferred(networks: Networks) -> None:
    record = create(networks, "n")
    before = networks.endpoint(record, "a", Attachment(network="n"), None)
    networks.release("a")
    address(networks, record, "b", "10.9.0.5")
    assert networks.endpoint(record, "a", Attachment(network="n"), before) == before


def test_addresses_that_are_asked_for(networks: Networks) -> None:
    record = create(networks, "n")
    endpoint = networks.endpoint(record, "a", Attachment(network="n", ipv4="10.9.0.6"), None)
    assert (endpoint.ipv4, endpoint.ipv4_prefix, endpoint.gateway) == ("10.9.0.6", 29, "10.9.0.1")
    assert endpoint.mac == "02:42:0a:09:00:06"
    assert refused(networks, record, "b", "10.9.0.6") == "conflict"
    assert refused(networks, record, "b", "10.8.0.6") == "bad-request"


def test_removal_frees_the_addresses(networks: Networks, kernel: Kernel) -> None:
    record = create(networks, "n")
    address(networks, record, "a")
    networks.remove("n")
    assert (networks.list(), kernel.bridges) == ([], [])
    with pytest.raises(ActionError):
        networks.remove("n")


def test_records_survive_and_bridges_come_back(networks: Networks, kernel: Kernel) -> None:
    record = create(networks, "n")
    kernel.bridges.clear()
    networks.load()
    networks.restore()
    assert (networks.list(), kernel.bridges) == ([record], ["n"])


def test_conflicts_are_conflicts(networks: Networks) -> None:
    create(networks, "n")
    with pytest.raises(ConflictError):
        create(networks, "n")


def test_a_chosen_subnet_that_somebody_took_is_chosen_again(networks: Networks, kernel: Kernel) -> None:
    kernel.taken = ["10.9.0.0/29", "10.9.0.0/29"]
    assert create(networks, "a").subnets == ("10.9.0.0/29",)
    assert kernel.bridges == ["a"]
    kernel.taken = ["10.8.0.0/29"]
    with pytest.raises(ConflictError):
        create(networks, "b", subnets=("10.8.0.0/29",))
    kernel.taken = ["10.9.1.0/29"] * 9
    with pytest.raises(ConflictError):
        create(networks, "c")
    assert kernel.bridges == ["a"]
    assert [record.name for record in networks.list()] == ["a"]
