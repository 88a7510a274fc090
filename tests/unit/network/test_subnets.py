"""Choice of subnets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackfile.errors import ActionError
from stackfile.network import subnets


def test_first_free_is_chosen() -> None:
    assert subnets.choose("10.89.0.0/16", []) == ("10.89.0.0/24", "10.89.0.1")
    assert subnets.choose("10.89.0.0/16", ["10.89.0.0/24", "10.89.1.7/32"]) == ("10.89.2.0/24", "10.89.2.1")


def test_gap_is_filled() -> None:
    assert subnets.choose("10.89.0.0/16", ["10.89.0.0/24", "10.89.2.0/24"])[0] == "10.89.1.0/24"


def test_addresses_and_other_families_are_understood() -> None:
    assert subnets.choose("10.89.0.0/16", ["fe80::1/64", "10.89.0.9/25"])[0] == "10.89.1.0/24"


def test_ipv6_pool_gives_networks_of_64_bits() -> None:
    taken = ["fd89:5f::/64", "fd89:5f:0:1::7/128", "10.89.0.0/16"]
    assert subnets.choose("fd89:5f::/48", taken) == ("fd89:5f:0:2::/64", "fd89:5f:0:2::1")
    with pytest.raises(ActionError) as caught:
        subnets.choose("fd89:5f::/63", taken)
    assert "STACKFILE_ADDRESS_POOL6" in caught.value.hint


def test_small_pool_is_taken_whole() -> None:
    assert subnets.choose("10.89.0.64/26", []) == ("10.89.0.64/26", "10.89.0.65")


def test_exhausted_pool() -> None:
    with pytest.raises(ActionError) as caught:
        subnets.choose("10.89.0.0/23", ["10.0.0.0/8"])
    assert caught.value.reason == "address-exhausted"


@given(st.lists(st.integers(0, 255), unique=True, max_size=255))
def test_chosen_is_never_taken(numbers: list[int]) -> None:
    taken = [f"10.89.{number}.0/24" for number in numbers]
    assert subnets.choose("10.89.0.0/16", taken)[0] not in taken


def test_overlap() -> None:
    assert subnets.overlapping("10.1.0.0/16", ["10.2.0.0/16", "10.1.7.0/24", "::/0"]) == "10.1.7.0/24"
    assert subnets.overlapping("fd00::/64", ["10.1.7.0/24"]) == ""


def test_hardware_address_follows_the_address() -> None:
    assert subnets.hardware("10.89.0.2") == "02:42:0a:59:00:02"
