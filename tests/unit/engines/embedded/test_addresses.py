"""Which addresses a container gets in a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile.engines.embedded.addresses import Addresses
from stackfile.errors import ActionError, ConflictError
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.model.stack import Attachment
from stackfile.store.run import RunStore

NET = NetworkRecord(
    id="n", name="net", subnets=("10.1.0.0/24", "fd01::/64"), gateways=("10.1.0.1", "fd01::1"), enable_ipv6=True
)
PLAIN = Attachment(network="net")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunStore]:
    store = RunStore(str(tmp_path / "run.db"), "boot")
    yield store
    store.close()


def lease(run: RunStore, owner: str, attachment: Attachment = PLAIN, net: NetworkRecord = NET) -> Endpoint:
    return Addresses(run).endpoint(net, owner, attachment, None)


def test_both_families_end_alike(run: RunStore) -> None:
    first, second = lease(run, "a"), lease(run, "b")
    assert (first.ipv4, first.ipv4_prefix, first.gateway) == ("10.1.0.2", 24, "10.1.0.1")
    assert (first.ipv6, first.ipv6_prefix, first.gateway6) == ("fd01::2", 64, "fd01::1")
    assert (second.ipv4, second.ipv6, second.mac) == ("10.1.0.3", "fd01::3", "02:42:0a:01:00:03")
    assert lease(run, "a") == first


def test_an_address_rests_before_it_is_given_again(run: RunStore) -> None:
    lease(run, "a")
    lease(run, "b")
    Addresses(run).release("a")
    assert lease(run, "c").ipv4 == "10.1.0.4"
    back = Addresses(run).endpoint(NET, "a", PLAIN, Endpoint(network="net", network_id="n", ipv4="10.1.0.2"))
    assert back.ipv4 == "10.1.0.2"


def test_addresses_that_are_asked_for(run: RunStore) -> None:
    asked = Attachment(network="net", ipv4="10.1.0.9", ipv6="fd01:0::9")
    assert (lease(run, "a", asked).ipv4, lease(run, "a", asked).ipv6) == ("10.1.0.9", "fd01::9")
    with pytest.raises(ConflictError):
        lease(run, "b", asked)
    with pytest.raises(ConflictError):
        lease(run, "b", Attachment(network="net", ipv4="10.1.0.1"))
    for wrong in (Attachment(network="net", ipv4="10.2.0.1"), Attachment(network="net", ipv6="fd02::1")):
        with pytest.raises(ActionError) as caught:
            lease(run, "b", wrong)
        assert caught.value.reason == "bad-request"
    with pytest.raises(ActionError):
        lease(run, "c", asked, replace(NET, subnets=NET.subnets[:1], gateways=NET.gateways[:1]))
    # Another wish frees the old address.
    assert lease(run, "a", Attachment(network="net", ipv4="10.1.0.90")).ipv4 == "10.1.0.90"
    assert lease(run, "d", Attachment(network="net", ipv4="10.1.0.9")).ipv4 == "10.1.0.9"


def test_range_and_reserved_addresses(run: RunStore) -> None:
    net = replace(NET, ip_ranges=("10.1.0.128/30", ""), reserved=("10.1.0.129",))
    assert {lease(run, owner, net=net).ipv4 for owner in "abc"} == {"10.1.0.128", "10.1.0.130", "10.1.0.131"}
    with pytest.raises(ActionError) as caught:
        lease(run, "d", net=net)
    assert caught.value.reason == "address-exhausted"
    assert lease(run, "e", Attachment(network="net", ipv4="10.1.0.7"), net).ipv4 == "10.1.0.7"


def test_subnet_without_room(run: RunStore) -> None:
    net = replace(NET, subnets=("10.1.0.0/30",), gateways=("10.1.0.1",))
    assert lease(run, "a", net=net).ipv4 == "10.1.0.2"
    with pytest.raises(ActionError) as caught:
        lease(run, "b", net=net)
    assert caught.value.reason == "address-exhausted"
