"""Ports as values, and as keys of the table's maps."""

from __future__ import annotations

import pytest

from stackfile.network import table
from stackfile.network.publication import Backends, PortKey, Publication, Slot


def test_every_address_has_one_spelling() -> None:
    assert PortKey("tcp", "0.0.0.0", 80).normal() == PortKey("tcp", "", 80).normal()
    assert PortKey("tcp", "[::1]", 80).normal() == PortKey("tcp", "::1", 80)


def test_text() -> None:
    texts = [str(PortKey("tcp", ip, 80)) for ip in ("", "127.0.0.1", "::1")]
    assert texts == ["*:80/tcp", "127.0.0.1:80/tcp", "[::1]:80/tcp"]


@pytest.mark.parametrize(
    "key", [PortKey("tcp", "", 8080), PortKey("udp", "127.0.0.1", 53), PortKey("sctp", "fd00::1", 9)]
)
def test_key_is_read_back(key: PortKey) -> None:
    slot = Slot(key, key.versions[0])
    assert table.parse_port_key(table.port_key(slot), host=bool(key.host_ip)) == key


@pytest.mark.parametrize("backend", [("10.89.0.2", 80), ("fd00::2", 8080)])
def test_backend_is_read_back(backend: tuple[str, int]) -> None:
    assert table.parse_backend(table.backend_value(backend)) == backend


def test_sets_by_shape() -> None:
    assert table.set_name("plain", Slot(PortKey("tcp", "", 80), 4)) == "any4"
    assert table.set_name("plain", Slot(PortKey("tcp", "::", 80), 6)) == "any6"
    assert table.set_name("many", Slot(PortKey("tcp", "127.0.0.1", 80), 4)) == "many_one4"
    assert table.set_name("closed", Slot(PortKey("udp", "fd00::1", 80), 6)) == "closed_one6"


def test_chain_names_differ_by_every_part() -> None:
    keys = [PortKey("tcp", "", 80), PortKey("udp", "", 80), PortKey("tcp", "", 81), PortKey("tcp", "127.0.0.1", 80)]
    slots = [*(Slot(key, 4) for key in keys), Slot(keys[0], 6)]
    assert len({table.chain_name(slot) for slot in slots}) == len(slots)


def test_publication_has_the_normal_key() -> None:
    assert Publication("tcp", "0.0.0.0", 80, ()).key == PortKey("tcp", "", 80)


V4, V6 = ("10.89.0.2", 80), ("fd89::2", 80)


@pytest.mark.parametrize(
    ("host_ip", "backends", "translated"),
    [
        ("", (V4, V6), {4: (V4,), 6: (V6,)}),
        ("", (V4,), {4: (V4,)}),  # IPv6 by the relay
        ("", (V6,), {4: (), 6: (V6,)}),
        ("", (), {4: (), 6: ()}),
        ("127.0.0.1", (V4, V6), {4: (V4,)}),
        ("::", (V4, V6), {6: (V6,)}),
        ("fd00::1", (V4,), {}),
        ("fd00::1", (), {6: ()}),
        ("::1", (V4, V6), {}),
        ("::1", (), {}),
    ],
)
def test_what_is_translated(host_ip: str, backends: Backends, translated: dict[int, Backends]) -> None:
    found = Publication("tcp", host_ip, 8080, backends).slots
    assert {slot.version: value for slot, value in found.items()} == translated


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("", "127.0.0.1", True),
        ("", "::1", True),
        ("", "::", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
        ("127.0.0.1", "::", False),
        ("::1", "::", True),
        ("fd00::1", "::1", False),
    ],
)
def test_addresses_that_exclude_each_other(first: str, second: str, clash: bool) -> None:
    one, two = PortKey("tcp", first, 80), PortKey("tcp", second, 80)
    assert one.overlaps(two) == two.overlaps(one) == clash
    assert not one.overlaps(PortKey("udp", second, 80))
    assert not one.overlaps(PortKey("tcp", second, 81))
