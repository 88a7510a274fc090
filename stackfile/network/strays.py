"""Bridges and elements of the table that belong to no network of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from stackfile.kernel import nftables as nft
from stackfile.kernel.netlink import Message
from stackfile.kernel.nftables import Element, Nftables
from stackfile.model.container import NetworkRecord
from stackfile.network import table as tables

_SETS = ("bridges", "internal", "pairs", "nets4", "nets6")


@dataclass(frozen=True, slots=True)
class Stray:
    """`kind` is link or element; `remove` takes it away."""

    kind: str
    name: str
    remove: Callable[[], object]


def elements(kernel: Nftables, table: str, networks: Iterable[NetworkRecord]) -> Iterator[Stray]:
    """Those that no network's bridge or subnet is the reason for."""
    wanted: dict[str, set[bytes]] = {}
    for network in networks:
        keys = tables.network_keys(network.interface, network.subnets, internal=network.internal)
        for name, some in keys.items():
            wanted.setdefault(name, set()).update(some)
    for name in _SETS:
        found = kernel.elements(tables.INET, table, name)
        for item in found:
            if not item.end and item.key not in wanted.get(name, set()):
                message = nft.delete_elements(tables.INET, table, name, *_whole(item, found))
                yield Stray("element", f"{name} {_text(name, item.key)}", _committing(kernel, message))


def _whole(item: Element, among: Iterable[Element]) -> list[bytes]:
    """The element, with the end of its interval where it begins one."""
    behind = sorted(other.key for other in among if other.end and other.key > item.key)
    return [nft.element(item.key), *(nft.element(key, end=True) for key in behind[:1])]


def _committing(kernel: Nftables, message: Message) -> Callable[[], object]:
    return lambda: kernel.commit([message])


def _text(name: str, key: bytes) -> str:
    if name.startswith("nets"):
        return key.hex()
    parts = (part.rstrip(b"\0").decode(errors="replace") for part in (key[:16], key[16:]))
    return " ".join(filter(None, parts))
