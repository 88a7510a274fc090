"""The one nftables table of an engine: static chains and maps, loaded once; afterwards only elements change.

    raw    127/8 from anywhere but lo is dropped (route_localnet is on for our bridges)
    pre    a packet to an address of this machine → publish          (other hosts, containers)
    out    the same for the machine's own connections
    publish  by host address first, then for any local address: one backend by a map, several by a chain of their own;
             ::1 is left to the relay
    post   masquerade: 127/8 → ours, between ours through a published port, ours → outside
    fwd    within a network; published ports; nothing else gets to a container, nothing leaves an internal network;
           to the guarded bridges of others (Docker's) by their published ports alone
    in     published ports with nothing behind them are refused

IPv4 and IPv6 have sets of their own (`any4`, `any6`); chains serve both. Elements name bridges and subnets, so that an
engine's rules never match anything else.
"""

from __future__ import annotations

import itertools
import socket
import sys
from collections.abc import Sequence
from ipaddress import ip_network

from stackfile.kernel import nftables as nft
from stackfile.kernel.netlink import Message
from stackfile.kernel.nftables import INTEGER, INTERFACE, IPV4, IPV6, PORT, PROTOCOL, Family, Hook, Type
from stackfile.kernel.nftexpr import (
    ACCEPT,
    DROP,
    JUMP,
    R1,
    R1B,
    R1C,
    R2,
    R2B,
    RETURN,
    Meta,
    State,
    destination4,
    destination6,
    destination_port,
    equal,
    family,
    interface,
    local_destination,
    lookup,
    mask,
    masquerade,
    meta,
    protocol,
    reject,
    reset,
    round_robin,
    source4,
    source6,
    state,
    translate_destination,
    translated,
    unequal,
    verdict,
    verdict_data,
)
from stackfile.network.publication import LOOPBACK6, Backends, PortKey, Slot

INET = Family.INET
LAYOUT = "stackfile layout 3"
"""Comment of the table. A table with another layout is replaced as a whole."""

PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}

_IPV4, _IPV6 = Family.IPV4, Family.IPV6
_numbers = itertools.count(1000)
"""Ids of sets within a transaction, above those of the static ones."""
_LOOPBACK4 = mask(b"\xff\0\0\0") + equal(b"\x7f\0\0\0")
_TYPES: dict[int, Type] = {4: IPV4, 6: IPV6}
_FAMILIES = {4: _IPV4, 6: _IPV6}
_BACKEND_PORT = {4: R1B, 6: R2}
"""Where the port of a backend lands that a map puts into register 1: behind the address."""


def static(table: str) -> list[Message]:
    """The transaction that makes the table; it must not exist."""
    return [nft.add_table(INET, table, LAYOUT), *_sets(table), *_chains(table), *_rules(table)]


def _sets(table: str) -> list[Message]:
    number = itertools.count(1)
    messages = []
    for version, address in _TYPES.items():
        host, port, backend = (address, PROTOCOL, PORT), (PROTOCOL, PORT), (address, PORT)
        messages += [
            nft.add_map(INET, table, f"one{version}", next(number), host, backend),
            nft.add_map(INET, table, f"any{version}", next(number), port, backend),
            nft.add_verdict_map(INET, table, f"many_one{version}", next(number), *host),
            nft.add_verdict_map(INET, table, f"many_any{version}", next(number), *port),
            nft.add_set(INET, table, f"closed_one{version}", next(number), *host),
            nft.add_set(INET, table, f"closed_any{version}", next(number), *port),
            nft.add_set(INET, table, f"nets{version}", next(number), address, interval=True),
        ]
    return [
        *messages,
        nft.add_set(INET, table, "bridges", next(number), INTERFACE),
        nft.add_set(INET, table, "internal", next(number), INTERFACE),
        nft.add_set(INET, table, "guarded", next(number), INTERFACE),
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
            (family(_IPV6), translated(), _to_ours(), source6(), lookup("nets6"), masquerade()),
            (family(_IPV6), _to_others(), source6(), lookup("nets6"), masquerade()),
        ),
        "fwd": (
            (state(State.ESTABLISHED, State.RELATED), verdict(ACCEPT)),
            (meta(Meta.IN_NAME, R1), meta(Meta.OUT_NAME, R2), lookup("pairs", into=0)),
            (meta(Meta.IN_NAME), lookup("internal"), verdict(DROP)),
            (meta(Meta.OUT_NAME), lookup("internal"), verdict(DROP)),
            (meta(Meta.IN_NAME), lookup("bridges"), *_to_guarded(), translated(), verdict(ACCEPT)),
            (meta(Meta.IN_NAME), lookup("bridges"), *_to_guarded(), verdict(DROP)),
            (_to_ours(), translated(), verdict(ACCEPT)),
            (_to_ours(), verdict(DROP)),
        ),
        "in": ((state(State.ESTABLISHED), verdict(ACCEPT)), *_refusals()),
    }
    return [nft.add_rule(INET, table, chain, *parts) for chain, rows in rules.items() for parts in rows]


def _refusals() -> list[tuple[bytes, ...]]:
    closed = (
        (_host_key4(), lookup("closed_one4")),
        (_port_key(_IPV4), lookup("closed_any4")),
        (_host_key6(), lookup("closed_one6")),
        (_port_key(_IPV6), lookup("closed_any6")),
    )
    return [*((protocol(socket.IPPROTO_TCP), *row, reset()) for row in closed), *((*row, reject()) for row in closed)]


def _publish_rules() -> tuple[tuple[bytes, ...], ...]:
    translate4 = translate_destination(_IPV4, R1, _BACKEND_PORT[4])
    translate6 = translate_destination(_IPV6, R1, _BACKEND_PORT[6])
    return (
        (_host_key4(), lookup("one4", into=R1), translate4),
        (_host_key4(), lookup("many_one4", into=0)),
        (_port_key(_IPV4), lookup("any4", into=R1), translate4),
        (_port_key(_IPV4), lookup("many_any4", into=0)),
        (family(_IPV6), destination6(), equal(_address(LOOPBACK6)), verdict(RETURN)),
        (_host_key6(), lookup("one6", into=R1), translate6),
        (_host_key6(), lookup("many_one6", into=0)),
        (_port_key(_IPV6), lookup("any6", into=R1), translate6),
        (_port_key(_IPV6), lookup("many_any6", into=0)),
    )


def _host_key4() -> bytes:
    return family(_IPV4) + destination4(R1) + meta(Meta.PROTOCOL, R1B) + destination_port(R1C)


def _host_key6() -> bytes:
    return family(_IPV6) + destination6(R1) + meta(Meta.PROTOCOL, R2) + destination_port(R2B)


def _port_key(number: Family) -> bytes:
    return family(number) + meta(Meta.PROTOCOL, R1) + destination_port(R1B)


def _to_ours() -> bytes:
    return meta(Meta.OUT_NAME) + lookup("bridges")


def _to_guarded() -> tuple[bytes, ...]:
    return meta(Meta.OUT_NAME), lookup("guarded")


def _to_others() -> bytes:
    return meta(Meta.OUT_NAME) + lookup("bridges", missing=True)


def add_network(table: str, bridge: str, subnets: Sequence[str], *, internal: bool) -> list[Message]:
    """Elements of a network. Adding what is there changes nothing."""
    link = interface(bridge)
    own = nft.element(nft.concat(link, link), verdict=verdict_data(ACCEPT))
    messages = [
        nft.add_elements(INET, table, "bridges", nft.element(link)),
        nft.add_elements(INET, table, "pairs", own),
        *(nft.add_elements(INET, table, name, *subnet) for name, subnet in _intervals(subnets)),
    ]
    if internal:
        messages.append(nft.add_elements(INET, table, "internal", nft.element(link)))
    return messages


def guard(table: str, present: set[str], wanted: set[str]) -> list[Message]:
    """Have `wanted` be the bridges of others that guard what is behind them."""
    return [
        *(nft.add_elements(INET, table, "guarded", nft.element(interface(name))) for name in sorted(wanted - present)),
        *(nft.delete_elements(INET, table, "guarded", nft.element(interface(name))) for name in present - wanted),
    ]


def remove_network(table: str, bridge: str, subnets: Sequence[str], *, internal: bool) -> list[list[Message]]:
    """One transaction for each element of a network, so that what is gone already is in nobody's way."""
    link = interface(bridge)
    messages = [
        [nft.delete_elements(INET, table, "bridges", nft.element(link))],
        [nft.delete_elements(INET, table, "pairs", nft.element(nft.concat(link, link)))],
        *([nft.delete_elements(INET, table, name, *subnet)] for name, subnet in _intervals(subnets)),
    ]
    if internal:
        messages.append([nft.delete_elements(INET, table, "internal", nft.element(link))])
    return messages


def network_keys(bridge: str, subnets: Sequence[str], *, internal: bool) -> dict[str, set[bytes]]:
    """Keys that the sets of a complete table have for a network, by set."""
    link = interface(bridge)
    keys = {"bridges": {link}, "pairs": {nft.concat(link, link)}, **({"internal": {link}} if internal else {})}
    for subnet in map(ip_network, subnets):
        keys.setdefault(f"nets{subnet.version}", set()).add(subnet.network_address.packed)
    return keys


def _intervals(subnets: Sequence[str]) -> list[tuple[str, tuple[bytes, bytes]]]:
    """(set, interval) of each subnet."""
    networks = [ip_network(subnet) for subnet in subnets]
    return [(f"nets{net.version}", nft.interval(net.network_address.packed, net.prefixlen)) for net in networks]


def set_name(kind: str, slot: Slot) -> str:
    """The set or map of `kind` (plain, many, closed) where a port of this shape stands."""
    shape = f"{'one' if slot.host_ip else 'any'}{slot.version}"
    return shape if kind == "plain" else f"{kind}_{shape}"


def port_key(slot: Slot) -> bytes:
    """A host port as the key of these sets."""
    key = slot.key
    parts = (bytes([PROTOCOLS[key.protocol]]), key.host_port.to_bytes(2, "big"))
    return nft.concat(_address(slot.host_ip), *parts) if slot.host_ip else nft.concat(*parts)


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


def chain_name(slot: Slot) -> str:
    """The chain of a port with several backends; its map has the same name."""
    host = _address(slot.host_ip).hex() if slot.host_ip else f"any{slot.version}"
    return f"{slot.key.protocol}_{slot.key.host_port}_{host}"


def add_port(table: str, slot: Slot, backends: Backends) -> list[Message]:
    """Messages that put a port in place where there is none."""
    key = port_key(slot)
    if not backends:
        return [nft.add_elements(INET, table, set_name("closed", slot), nft.element(key))]
    if len(backends) == 1:
        return [nft.add_elements(INET, table, set_name("plain", slot), nft.element(key, backend_value(backends[0])))]
    name = chain_name(slot)
    goto = nft.element(key, verdict=verdict_data(JUMP, name))
    return [
        nft.add_chain(INET, table, name),
        *_spread(table, slot, backends),
        nft.add_elements(INET, table, set_name("many", slot), goto),
    ]


def respread(table: str, slot: Slot, backends: Backends) -> list[Message]:
    """Messages that give a port with several backends other ones, still several."""
    name = chain_name(slot)
    return [nft.flush_chain(INET, table, name), nft.delete_set(INET, table, name), *_spread(table, slot, backends)]


def _spread(table: str, slot: Slot, backends: Backends) -> list[Message]:
    name = chain_name(slot)
    values = [nft.element(index.to_bytes(4, sys.byteorder), backend_value(b)) for index, b in enumerate(backends)]
    translate = translate_destination(_FAMILIES[slot.version], R1, _BACKEND_PORT[slot.version])
    return [
        nft.add_map(INET, table, name, next(_numbers), (INTEGER,), (_TYPES[slot.version], PORT)),
        nft.add_elements(INET, table, name, *values),
        nft.add_rule(INET, table, name, round_robin(len(values)), lookup(name, into=R1), translate),
    ]


def remove_port(table: str, slot: Slot, backends: int) -> list[Message]:
    """Messages that take away a port which has this many backends."""
    element = nft.element(port_key(slot))
    if backends < 2:
        return [nft.delete_elements(INET, table, set_name("plain" if backends else "closed", slot), element)]
    name = chain_name(slot)
    return [
        nft.delete_elements(INET, table, set_name("many", slot), element),
        nft.flush_chain(INET, table, name),
        nft.delete_chain(INET, table, name),
        nft.delete_set(INET, table, name),
    ]


def _address(value: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in value else socket.AF_INET, value)
