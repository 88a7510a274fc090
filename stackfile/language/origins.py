"""Where every value of a resource was written: `<kind>.<name>/<JSON pointer>` → Origin."""

from __future__ import annotations

from stackfile.errors import Place
from stackfile.language.merge import pairs_to_mapping
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence, origin_of
from stackfile.model.stack import Origin

PAIRS = frozenset({"environment", "labels", "sysctls"})


def escape(key: str) -> str:
    """A key as a segment of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def record(origins: dict[str, Origin], address: str, tree: Mapping, place: Place) -> None:
    """Remember the origins of a resource and of everything in it."""
    origins[address] = Origin(place)
    _below(origins, address, tree)


def _below(origins: dict[str, Origin], prefix: str, node: Node) -> None:
    if isinstance(node, Mapping):
        for key, child in node.entries.items():
            path = f"{prefix}/{escape(key)}"
            origins[path] = origin_of(child)
            if not isinstance(child, Scalar):
                _below(origins, path, child)
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            if isinstance(item, Mapping):
                origins[f"{prefix}/{index}"] = origin_of(item)
                _below(origins, f"{prefix}/{index}", item)


def record_service(origins: dict[str, Origin], address: str, tree: Mapping, place: Place) -> None:
    """As `record`; lists of `key=value` count as mappings."""
    entries = dict(tree.entries)
    for key in PAIRS & entries.keys():
        items = entries[key]
        if isinstance(items, Sequence) and all(_is_text(item) for item in items.items):
            entries[key] = pairs_to_mapping(items, "=")
    record(origins, address, Mapping(entries, tree.keys, tree.place), place)


def _is_text(node: Node) -> bool:
    """Whether a node is text: what is none of a list of pairs is told where the list is read."""
    return isinstance(node, Scalar) and isinstance(node.value, str)
