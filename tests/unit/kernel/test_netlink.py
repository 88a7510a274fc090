"""Encoding of attributes, and of the nftables and rtnetlink messages that are made of them."""

from __future__ import annotations

import socket
import struct

import pytest

from stackfile.kernel import netlink, nftables, nftexpr, rtnetlink
from stackfile.kernel.nftables import IPV4, PORT, PROTOCOL, Family


def test_attribute_is_padded() -> None:
    assert netlink.attribute(1, b"abcde") == b"\x09\x00\x01\x00abcde\0\0\0"


def test_attributes_are_read_back() -> None:
    data = netlink.text(1, "sf") + netlink.nest(2, netlink.be32(3, -3), netlink.u32(4, 7))
    outer = netlink.attributes(data)
    inner = netlink.attributes(outer[2])
    assert netlink.string(outer[1]) == "sf"
    assert struct.unpack(">i", inner[3]) == (-3,)
    assert struct.unpack("=I", inner[4]) == (7,)


def test_broken_attributes_end_the_reading() -> None:
    assert list(netlink.items(b"\x00\x00\x01\x00rest")) == []
    assert list(netlink.items(b"\x08")) == []


def test_repeated_attributes_keep_their_order() -> None:
    data = netlink.be32(1, 1) + netlink.be32(1, 2)
    assert [value[-1] for _, value in netlink.items(data)] == [1, 2]


def test_compare_expression_bytes() -> None:
    """Golden: `cmp eq reg 1 0x0006` as nft(8) sends it."""
    expected = "2c0001800800010063 6d700020000280080001000000000108000200000000000c0003800600010000060000"
    assert nftexpr.equal(b"\x00\x06") == bytes.fromhex(expected.replace(" ", ""))


def test_table_message() -> None:
    message = nftables.add_table(Family.INET, "sf")
    assert (message.kind, message.flags) == (0xA00, netlink.CREATE)
    assert message.body == b"\x01\x00\x00\x00" + netlink.text(1, "sf")


@pytest.mark.parametrize(
    ("address", "prefix", "first", "behind"),
    [
        ("10.89.3.0", 24, "10.89.3.0", "10.89.4.0"),
        ("10.89.3.77", 24, "10.89.3.0", "10.89.4.0"),
        ("255.255.255.0", 24, "255.255.255.0", "0.0.0.0"),
        ("fd00::", 64, "fd00::", "fd00:0:0:1::"),
    ],
)
def test_interval(address: str, prefix: int, first: str, behind: str) -> None:
    parts = nftables.interval(rtnetlink.packed(address), prefix)
    elements = [netlink.attributes(netlink.attributes(part)[1]) for part in parts]
    keys = [netlink.attributes(element[1])[1] for element in elements]
    assert keys == [rtnetlink.packed(first), rtnetlink.packed(behind)]
    assert [3 in element for element in elements] == [False, True]


def test_concatenation_pads_parts_but_not_a_single_one() -> None:
    assert nftables.concat(b"\x06", b"\x00\x50") == b"\x06\0\0\0\x00\x50\0\0"
    assert nftables.concat(b"\x06") == b"\x06"


def test_map_of_concatenations_has_their_type_and_length() -> None:
    body = nftables.add_map(Family.INET, "t", "m", 1, (IPV4, PROTOCOL, PORT), (IPV4, PORT)).body
    found = netlink.attributes(body, 4)
    key, length, data, data_length = (struct.unpack(">I", found[kind])[0] for kind in (4, 5, 6, 7))
    assert key == (7 << 12) | (12 << 6) | 13
    assert (length, data, data_length) == (12, (7 << 6) | 13, 8)


def test_veth_message_names_both_ends() -> None:
    message = rtnetlink.veth("sfv0", "02:43:00:00:00:01", 7, "eth0", "02:42:0a:59:00:02", 9)
    outer = netlink.attributes(message.body, 16)
    info = netlink.attributes(outer[18])
    peer = netlink.attributes(netlink.attributes(info[2])[1], 16)
    assert (netlink.string(outer[3]), struct.unpack("=I", outer[10])) == ("sfv0", (7,))
    assert (netlink.string(peer[3]), peer[1]) == ("eth0", bytes.fromhex("02420a590002"))
    assert struct.unpack("=I", peer[28]) == (9,)


def test_address_message_has_the_family_of_its_address() -> None:
    assert rtnetlink.address(2, "10.89.0.2", 24).body[:4] == bytes([socket.AF_INET, 24, 0, 0])
    assert rtnetlink.address(2, "fd00::2", 64).body[:4] == bytes([socket.AF_INET6, 64, 2, 0])
