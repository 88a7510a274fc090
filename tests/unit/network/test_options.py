"""Options of bridges."""

from __future__ import annotations

import pytest

from stackfile.errors import ActionError
from stackfile.model.container import NetworkRecord
from stackfile.network import options


def network(subnet: str = "10.1.0.0/24", **given: str) -> NetworkRecord:
    named = {f"com.docker.network.{name.replace('_', '.')}": value for name, value in given.items()}
    return NetworkRecord(id="ab" * 32, name="net", subnets=(subnet,), options=named)


def test_name_and_size() -> None:
    assert options.bridge(network(), "sf") == "sfababababab"
    assert options.mtu(network()) == 0
    given = network(bridge_name="br-shop", driver_mtu="1400")
    options.check(given)
    assert (options.bridge(given, "sf"), options.mtu(given)) == ("br-shop", 1400)


@pytest.mark.parametrize(
    "wrong",
    [
        network(bridge_name="a/b"), network(bridge_name="x" * 16), network(bridge_name=".."),
        network(driver_mtu="67"), network(driver_mtu="big"), network(driver_mtu="70000"),
        network("fd00::/64", driver_mtu="1000"),
    ],
)  # fmt: skip
def test_what_the_kernel_would_not_take(wrong: NetworkRecord) -> None:
    with pytest.raises(ActionError) as caught:
        options.check(wrong)
    assert caught.value.reason == "bad-request"
