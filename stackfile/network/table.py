"""The one nftables table of an engine: static chains and maps, loaded once; afterwards only elements change.

    raw    127/8 from anywhere but lo is dropped (route_localnet is on for our bridges)
    pre    a packet to an address of this machine → publish          (other hosts, containers)
    out    the same for the machine's own connections
    publish  by host address first, then for any local address: one backend by a map, several by a chain of their own
    post   masquerade: 127/8 → ours, between ours through a published port, ours → outside
    fwd    within a network; published ports; nothing else gets to a container, nothing leaves an internal network
    in     published ports with nothing behind them are refused

Elements name bridges and subnets, so that an engine's rules never match anything else.
"""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Sequence
from ipaddress import ip_network

from stackfile.kernel import nftables as nft
from stackfile.kernel.netlink import Message
from stackfile.kernel.nftables import INTEGER, INTERFACE, IPV4, PORT, PROTOCOL, Family, Hook
from stackfile.kernel.nftexpr import (
    ACCEPT,
    DROP,
    JUMP,
    R1,
    R1B,
    R1C,
    R2,
    Meta,
    State,
    destination4,
    destination_port,
    equal,
    family,
    interface,
    local_destination,
    lookup,
    mask,
    masquerade,
    meta,
    reject,
    round_robin,
    source4,
    state,
    translate_destination,
    translated,
    unequal,
    verdict,
    verdict_data,
)
from stackfile.network.publication import PortKey, Publication

INET = Family.INET
LAYOUT = "stackfile layout 1"
"""Comment of the table. A table with another layout is replaced as a whole."""

PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}

_IPV4 = Family.IPV4
_numbers = itertools.count(1000)
"""Ids of sets within a transaction, above those of the static ones."""
_LOOPBACK4 = mask(b"\xff\0\0\0") + equal(b"\x7f\0\0\0")


def static(table: str) -> list[Message]:
    """The transaction that makes the table; it must not exist."""
    return [nft.add_table(INET, table, LAYOUT), *_sets(table), *_chains(table), *_rules(table)]


def _sets(table: str) -> list[Message]:
    number = itertools.count(1)
    host, port, backend = (IPV4, PROTOCOL, PORT), (PROTOCOL, PORT), (IPV4, PORT)
    return [
        nft.add_map(INET, table, "one4", next(number), host, backend),
        nft.add_map(INET, table, "any4", next(number), port, backend),
        nft.add_verdict_map(INET, table, "many_one4", next(number), *host),
        nft.add_verdict_map(INET, table, "many_any4", next(number), *port),
        nft.add_set(INET, table, "closed_one4", next(number), *host),
        nft.add_set(INET, table, "closed_any4", next(number), *port),
        nft.add_set(INET, table, "nets4", next(number), IPV4, interval=True),
        nft.add_set(INET, table, "bridges", next(number), INTERFACE),
        nft.add_set(INET, table, "internal", next(number), INTERFACE),
        nft.add_verdict_map(INET, table, "pairs", next(number), INTERFACE, INTERFACE),
    ]


def _chains(table: str) -> list[Message]:
    base = (
        ("raw", "filter", Hook.PREROUTING, -300),
        ("pre", "nat", Hook.PREROUTING, -100),
        ("out", "nat", Hook.OUTPUT, -100),
        ("post", "nat", Hook.POSTROUTING, 100),
        ("fwd", "filter", Hook.FORWARD, 0),
        ("in", "filter", Hook.INPUT, 0),
    )
    chains = [nft.add_base_chain(INET, table, n, kind=k, hook=h, priority=p) for n, k, h, p in base]
    return [*chains, nft.add_chain(INET, table, "publish")]


def _rules(table: str) -> list[Message]:
    rules = {
        "raw": (
            (meta(Meta.IN_NAME), unequal(interface("lo")), family(_IPV4), destination4(), _LOOPBACK4, verdict(DROP)),
        ),
        "publish": _publish_rules(),
        "pre": ((local_destination(), verdict(JUMP, "publish")),),
        "out": ((local_destination(), verdict(JUMP, "publish")),),
        "post": (
            (family(_IPV4), translated(), source4(), _LOOPBACK4, masquerade()),
            # By address, not by incoming interface: a frame translated within a bridge (br_netfilter) has none here.
            (family(_IPV4), translated(), _to_ours(), source4(), lookup("nets4"), masquerade()),
            (family(_IPV4), _to_others(), source4(), lookup("nets4"), masquerade()),
        ),
        "fwd": (
            (state(State.ESTABLISHED, State.RELATED), verdict(ACCEPT)),
            (meta(Meta.IN_NAME, R1), meta(Meta.OUT_NAME, R2), lookup("pairs", into=0)),
            (meta(Meta.IN_NAME), lookup("internal"), verdict(DROP)),
            (meta(Meta.OUT_NAME), lookup("internal"), verdict(DROP)),
            (_to_ours(), translated(), verdict(ACCEPT)),
            (_to_ours(), verdict(DROP)),
        ),
        "in": (
            (_host_key4(), lookup("closed_one4"), reject()),
            (_port_key4(), lookup("closed_any4"), reject()),
        ),
    }
    return [nft.add_rule(INET, table, chain, *parts) for chain, rows in rules.items() for parts in rows]


def _publish_rules() -> tuple[tuple[bytes, ...], ...]:
    translate = translate_destination(_IPV4, R1, R1B)
    return (
        (_host_key4(), lookup("one4", into=R1), translate),
        (_host_key4(), lookup("many_one4", into=0)),
        (_port_key4(), lookup("any4", into=R1), translate),
        (_port_key4(), lookup("many_any4", into=0)),
    )


def _host_key4() -> bytes:
    return family(_IPV4) + destination4(R1) + meta(Meta.PROTOCOL, R1B) + destination_port(R1C)


def _port_key4() -> bytes:
    return family(_IPV4) + meta(Meta.PROTOCOL, R1) + destination_port(R1B)


def _to_ours() -> bytes:
    return meta(Meta.OUT_NAME) + lookup("bridges")


def _to_others() -> bytes:
    return meta(Meta.OUT_NAME) + lookup("bridges", missing=True)


def add_network(table: str, bridge: str, subnets: Sequence[str], *, internal: bool) -> list[Message]:
    """Elements of a network. Adding what is there changes nothing."""
    name = interface(bridge)
    own = nft.element(nft.concat(name, name), verdict=verdict_data(ACCEPT))
    messages = [
        nft.add_elements(INET, table, "bridges", nft.element(name)),
        nft.add_elements(INET, table, "pairs", own),
        *(nft.add_elements(INET, table, "nets4", *subnet) for subnet in _intervals(subnets)),
    ]
    if internal:
        messages.append(nft.add_elements(INET, table, "internal", nft.element(name)))
    return messages


def remove_network(table: str, bridge: str, subnets: Sequence[str], *, internal: bool) -> list[list[Message]]:
    """One transaction for each element of a network, so that what is gone already is in nobody's way."""
    name = interface(bridge)
    messages = [
        [nft.delete_elements(INET, table, "bridges", nft.element(name))],
        [nft.delete_elements(INET, table, "pairs", nft.element(nft.concat(name, name)))],
        *([nft.delete_elements(INET, table, "nets4", *subnet)] for subnet in _intervals(subnets)),
    ]
    if internal:
        messages.append([nft.delete_elements(INET, table, "internal", nft.element(name))])
    return messages


def _intervals(subnets: Sequence[str]) -> list[tuple[bytes, bytes]]:
    networks = [ip_network(subnet) for subnet in subnets]
    return [nft.interval(net.network_address.packed, net.prefixlen) for net in networks if net.version == 4]


def set_name(kind: str, key: PortKey) -> str:
    """The set or map of `kind` (plain, many, closed) where a port of this shape stands."""
    shape = f"{'one' if key.host_ip else 'any'}{key.version}"
    return shape if kind == "plain" else f"{kind}_{shape}"


def port_key(key: PortKey) -> bytes:
    """A host port as the key of these sets."""
    parts = (bytes([PROTOCOLS[key.protocol]]), key.host_port.to_bytes(2, "big"))
    return nft.concat(_address(key.host_ip), *parts) if key.host_ip else nft.concat(*parts)


def backend_value(backend: tuple[str, int]) -> bytes:
    """A backend as the value of a map."""
    return nft.concat(_address(backend[0]), backend[1].to_bytes(2, "big"))


def parse_backend(value: bytes) -> tuple[str, int]:
    """The inverse of `backend_value`."""
    size = 16 if len(value) == 20 else 4
    kind = socket.AF_INET6 if size == 16 else socket.AF_INET
    return socket.inet_ntop(kind, value[:size]), int.from_bytes(value[size : size + 2], "big")


def parse_port_key(key: bytes, *, host: bool) -> PortKey:
    """The inverse of `port_key`; `host` says that the key begins with a host address."""
    names = {number: name for name, number in PROTOCOLS.items()}
    size = len(key) - 8 if host else 0
    kind = socket.AF_INET6 if size == 16 else socket.AF_INET
    host_ip = socket.inet_ntop(kind, key[:size]) if size else ""
    return PortKey(names[key[size]], host_ip, int.from_bytes(key[size + 4 : size + 6], "big"))


def chain_name(key: PortKey) -> str:
    """The chain of a port with several backends; its map has the same name."""
    host = _address(key.host_ip).hex() if key.host_ip else "any"
    return f"{key.protocol}_{key.host_port}_{host}"


def add_port(table: str, entry: Publication) -> list[Message]:
    """Messages that put a port in place where there is none."""
    key = entry.key
    if not entry.backends:
        return [nft.add_elements(INET, table, set_name("closed", key), nft.element(port_key(key)))]
    if len(entry.backends) == 1:
        value = backend_value(entry.backends[0])
        return [nft.add_elements(INET, table, set_name("plain", key), nft.element(port_key(key), value))]
    name = chain_name(key)
    goto = nft.element(port_key(key), verdict=verdict_data(JUMP, name))
    return [
        nft.add_chain(INET, table, name),
        *_spread(table, entry),
        nft.add_elements(INET, table, set_name("many", key), goto),
    ]


def respread(table: str, entry: Publication) -> list[Message]:
    """Messages that give a port with several backends other ones, still several."""
    name = chain_name(entry.key)
    return [nft.flush_chain(INET, table, name), nft.delete_set(INET, table, name), *_spread(table, entry)]


def _spread(table: str, entry: Publication) -> list[Message]:
    name = chain_name(entry.key)
    values = [nft.element(index.to_bytes(4, sys.byteorder), backend_value(b)) for index, b in enumerate(entry.backends)]
    return [
        nft.add_map(INET, table, name, next(_numbers), (INTEGER,), (IPV4, PORT)),
        nft.add_elements(INET, table, name, *values),
        nft.add_rule(
            INET, table, name,
            round_robin(len(values)), lookup(name, into=R1), translate_destination(_IPV4, R1, R1B),
        ),
    ]  # fmt: skip


def remove_port(table: str, key: PortKey, backends: int) -> list[Message]:
    """Messages that take away a port which has this many backends."""
    element = nft.element(port_key(key))
    if backends < 2:
        return [nft.delete_elements(INET, table, set_name("plain" if backends else "closed", key), element)]
    name = chain_name(key)
    return [
        nft.delete_elements(INET, table, set_name("many", key), element),
        nft.flush_chain(INET, table, name),
        nft.delete_chain(INET, table, name),
        nft.delete_set(INET, table, name),
    ]


def _address(value: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in value else socket.AF_INET, value)
