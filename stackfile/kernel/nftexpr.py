"""Expressions of nf_tables rules, encoded (linux/netfilter/nf_tables.h, `enum nft_*_attributes`).

An expression reads and writes registers. Numbers 1 to 4 are registers of 16 bytes; 8 to 23 are the same memory in
pieces of 4 bytes (8 to 11 are register 1), so that parts which follow each other form a concatenation.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from stackfile.kernel.netlink import attribute, be32, nest, text

R1 = 1
R1B, R1C, R1D = 9, 10, 11
"""Second to fourth piece of register 1."""
R2 = 2
R2B = 13

ACCEPT, DROP = 1, 0
JUMP, GOTO, RETURN = -3, -4, -5

_EQUAL, _UNEQUAL = 0, 1
_NETWORK, _TRANSPORT = 1, 2
_FIB_RESULT_ADDRTYPE, _FIB_DADDR, _LOCAL = 3, 2, 2
_CSUM_INET = 1
_TCP_RESET = 1


class Meta(IntEnum):
    """Packet metadata (NFT_META_*)."""

    IN_NAME = 6
    OUT_NAME = 7
    FAMILY = 15
    PROTOCOL = 16


class State(IntEnum):
    """Bits of `ct state`."""

    ESTABLISHED = 2
    RELATED = 4


def expression(name: str, *attributes: bytes) -> bytes:
    """One expression of a rule."""
    return nest(1, text(1, name), nest(2, *attributes))


def meta(key: Meta, register: int = R1) -> bytes:
    """Load metadata."""
    return expression("meta", be32(2, key), be32(1, register))


def network_payload(offset: int, length: int, register: int = R1) -> bytes:
    """Load bytes of the network header."""
    return expression("payload", be32(1, register), be32(2, _NETWORK), be32(3, offset), be32(4, length))


def transport_payload(offset: int, length: int, register: int = R1) -> bytes:
    """Load bytes of the transport header."""
    return expression("payload", be32(1, register), be32(2, _TRANSPORT), be32(3, offset), be32(4, length))


def set_transport_payload(offset: int, length: int, checksum: int, register: int = R1) -> bytes:
    """Write a register into the transport header and mend the checksum at offset `checksum`."""
    return expression(
        "payload",
        be32(5, register), be32(2, _TRANSPORT), be32(3, offset), be32(4, length), be32(6, _CSUM_INET),
        be32(7, checksum),
    )  # fmt: skip


def source4(register: int = R1) -> bytes:
    return network_payload(12, 4, register)


def destination4(register: int = R1) -> bytes:
    return network_payload(16, 4, register)


def source6(register: int = R1) -> bytes:
    return network_payload(8, 16, register)


def destination6(register: int = R1) -> bytes:
    return network_payload(24, 16, register)


def destination_port(register: int = R1) -> bytes:
    return transport_payload(2, 2, register)


def equal(value: bytes, register: int = R1) -> bytes:
    """Go on with the rule if the register begins with `value`."""
    return expression("cmp", be32(1, register), be32(2, _EQUAL), nest(3, attribute(1, value)))


def unequal(value: bytes, register: int = R1) -> bytes:
    """Go on with the rule unless the register begins with `value`."""
    return expression("cmp", be32(1, register), be32(2, _UNEQUAL), nest(3, attribute(1, value)))


def mask(value: bytes, register: int = R1) -> bytes:
    """register &= value."""
    zero = bytes(len(value))
    return expression(
        "bitwise",
        be32(1, register), be32(2, register), be32(3, len(value)),
        nest(4, attribute(1, value)), nest(5, attribute(1, zero)),
    )  # fmt: skip


def load(value: bytes, register: int = R1) -> bytes:
    """Put a constant into a register."""
    return expression("immediate", be32(1, register), nest(2, attribute(1, value)))


def family(number: int) -> bytes:
    """Go on with the rule for packets of this protocol family only (inet tables)."""
    return meta(Meta.FAMILY) + equal(bytes([number]))


def protocol(number: int) -> bytes:
    """Go on with the rule for this transport protocol only."""
    return meta(Meta.PROTOCOL) + equal(bytes([number]))


def in_interface(name: str) -> bytes:
    return meta(Meta.IN_NAME) + equal(interface(name))


def out_interface(name: str) -> bytes:
    return meta(Meta.OUT_NAME) + equal(interface(name))


def interface(name: str) -> bytes:
    """An interface's name as a 16-byte value."""
    return name.encode().ljust(16, b"\0")


def state(*bits: State) -> bytes:
    """Go on with the rule for connections in one of these states."""
    return _connection_bits(0, sum(bits))


def translated() -> bytes:
    """Go on with the rule for connections whose destination was translated (ct status dnat)."""
    return _connection_bits(2, 0x20)


def lookup(name: str, register: int = R1, *, into: int | None = None, missing: bool = False) -> bytes:
    """Go on with the rule if the register is in the set (or with `missing` if it is not).

    For a map `into` receives the value; 0 carries out the verdict of a verdict map.
    """
    extra = be32(3, into) if into is not None else b""
    return expression("lookup", text(1, name), be32(2, register), extra, be32(5, 1) if missing else b"")


def local_destination() -> bytes:
    """Go on with the rule if the packet's destination is an address of this machine (fib daddr type local)."""
    fib = expression("fib", be32(3, _FIB_DADDR), be32(2, _FIB_RESULT_ADDRTYPE), be32(1, R1))
    return fib + equal(struct.pack("=I", _LOCAL))


def round_robin(modulus: int, register: int = R1) -> bytes:
    """Load 0, 1, … modulus-1, 0, … (host byte order), one step a packet that comes here."""
    return expression("numgen", be32(1, register), be32(2, modulus), be32(3, 0), be32(4, 0))


def translate_destination(number: int, address: int, port: int) -> bytes:
    """dnat to the address and port in these registers; `number` is the protocol family. Ends the rule."""
    return expression("nat", be32(1, 1), be32(2, number), be32(3, address), be32(5, port), be32(7, 2))


def masquerade() -> bytes:
    """Give the connection the outgoing interface's address as its source."""
    return expression("masq")


def counter() -> bytes:
    return expression("counter")


def reject() -> bytes:
    """Refuse with 'port unreachable' of the packet's own family."""
    return expression("reject", be32(1, 2), attribute(2, b"\x01"))


def reset() -> bytes:
    """Refuse with a TCP reset, as a port does where nobody listens (a local IPv6 client hears nothing else at once)."""
    return expression("reject", be32(1, _TCP_RESET), attribute(2, b"\0"))


def verdict(code: int, chain: str = "") -> bytes:
    """End the rule: accept, drop, return, or jump and goto a chain."""
    return expression("immediate", be32(1, 0), nest(2, verdict_data(code, chain)))


def verdict_data(code: int, chain: str = "") -> bytes:
    """A verdict as data: the value of a verdict map's element."""
    return nest(2, be32(1, code), text(2, chain) if chain else b"")


def _connection_bits(key: int, bits: int) -> bytes:
    """Go on with the rule if ct `key` has one of the bits (host byte order)."""
    load_key = expression("ct", be32(2, key), be32(1, R1))
    return load_key + mask(struct.pack("=I", bits)) + unequal(bytes(4))
