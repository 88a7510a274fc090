"""Ports as values, and as keys of the table's maps."""

from __future__ import annotations

import pytest

from stackfile.network import table
from stackfile.network.publication import PortKey, Publication


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
    assert table.parse_port_key(table.port_key(key), host=bool(key.host_ip)) == key


@pytest.mark.parametrize("backend", [("10.89.0.2", 80), ("fd00::2", 8080)])
def test_backend_is_read_back(backend: tuple[str, int]) -> None:
    assert table.parse_backend(table.backend_value(backend)) == backend


def test_sets_by_shape() -> None:
    assert table.set_name("plain", PortKey("tcp", "", 80)) == "any4"
    assert table.set_name("many", PortKey("tcp", "127.0.0.1", 80)) == "many_one4"
    assert table.set_name("closed", PortKey("udp", "", 80)) == "closed_any4"


def test_chain_names_differ_by_every_part() -> None:
    keys = [PortKey("tcp", "", 80), PortKey("udp", "", 80), PortKey("tcp", "", 81), PortKey("tcp", "127.0.0.1", 80)]
    assert len({table.chain_name(key) for key in keys}) == len(keys)


def test_publication_has_the_normal_key() -> None:
    assert Publication("tcp", "0.0.0.0", 80, ()).key == PortKey("tcp", "", 80)
