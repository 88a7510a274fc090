"""The tree of a stack file: every key and value with the place it was written at.

Nodes are never changed after they are shared (aliases share them); phases build new ones where something differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from stackfile.errors import Place
from stackfile.model.stack import Origin, Via

Value: TypeAlias = str | int | float | bool | None


class Scalar:
    """A scalar. `value` is typed as Compose types it; `text` is what was written; `via` says through what it came."""

    __slots__ = ("place", "tag", "text", "value", "via")

    def __init__(self, value: Value, text: str, place: Place, tag: str = "", via: tuple[Via, ...] = ()) -> None:
        self.value = value
        self.text = text
        self.place = place
        self.tag = tag
        self.via = via


class Template:
    """A scalar that contains template syntax, not yet evaluated.

    `start` is the line and column where the text begins (behind the quote or the `|`), None where the text in the file
    has another shape (folded, or quoted over several lines). `interpolated`: whether `$` in literals begins a variable.
    """

    __slots__ = ("interpolated", "place", "start", "tag", "text")

    def __init__(
        self,
        text: str,
        place: Place,
        tag: str = "",
        start: tuple[int, int] | None = None,
        interpolated: bool = True,
    ) -> None:
        self.text = text
        self.place = place
        self.tag = tag
        self.start = start
        self.interpolated = interpolated

    def locate(self, index: int) -> Place:
        """The place of the character at `index` of the text, as exactly as it is known."""
        if self.start is None:
            return self.place
        line, column = self.start
        newlines = self.text.count("\n", 0, index)
        return Place(self.place.file, line + newlines, column + index - (self.text.rfind("\n", 0, index) + 1))


class Interpolated(Scalar):
    """A scalar in whose text a variable stood, set or not: what it says is not all written in the file."""

    __slots__ = ()


class Broken(Scalar):
    """Stands for a value whose evaluation failed: the mistake is reported already, readers pass over it."""

    __slots__ = ()

    def __init__(self, place: Place) -> None:
        super().__init__(None, "", place)


class Key:
    """A key of a mapping: its place, and whether it contains template syntax."""

    __slots__ = ("place", "template")

    def __init__(self, place: Place, template: bool = False) -> None:
        self.place = place
        self.template = template


class Mapping:
    """A mapping, in the order of the file. `keys` has the same keys as `entries`."""

    __slots__ = ("entries", "keys", "place", "tag", "templated")

    def __init__(self, entries: dict[str, Node], keys: dict[str, Key], place: Place, tag: str = "") -> None:
        self.entries = entries
        self.keys = keys
        self.place = place
        self.tag = tag
        self.templated = any(is_templated(child) for child in entries.values()) or any(
            key.template for key in keys.values()
        )
        if "when" in entries or "for_each" in entries:
            self.templated = True

    def get(self, key: str) -> Node | None:
        return self.entries.get(key)

    def with_entry(self, key: str, node: Node, place: Place | None = None) -> Mapping:
        """A copy with one entry added or replaced."""
        keys = {**self.keys, key: Key(place) if place else self.keys.get(key, Key(node.place))}
        return Mapping({**self.entries, key: node}, keys, self.place, self.tag)

    def without(self, *names: str) -> Mapping:
        """A copy without these keys."""
        if not any(name in self.entries for name in names):
            return self
        entries = {key: node for key, node in self.entries.items() if key not in names}
        return Mapping(entries, {key: self.keys[key] for key in entries}, self.place, self.tag)


class Sequence:
    """A sequence."""

    __slots__ = ("items", "place", "tag", "templated")

    def __init__(self, items: list[Node], place: Place, tag: str = "") -> None:
        self.items = items
        self.place = place
        self.tag = tag
        self.templated = any(is_templated(item) for item in items)


Node: TypeAlias = Scalar | Template | Mapping | Sequence


def is_templated(node: Node) -> bool:
    """Whether there is anything to evaluate in `node` or below it."""
    if isinstance(node, Scalar):
        return False
    return True if isinstance(node, Template) else node.templated


def kind_of(node: Node) -> str:
    """What to call a node in a message."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Template):
        return "a template"
    names = {str: "text", bool: "a boolean", int: "an integer", float: "a number", type(None): "null"}
    return names[type(node.value)]


def at_path(tree: Node | None, path: Iterable[str]) -> Node | None:
    """The node at a path of keys; None where there is none."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def to_plain(node: Node) -> object:
    """Plain data of a tree. Templates are evaluated before; where nothing is (`values_schema`), they are text."""
    if isinstance(node, Mapping):
        return {key: to_plain(child) for key, child in node.entries.items()}
    if isinstance(node, Sequence):
        return [to_plain(item) for item in node.items]
    return node.text if isinstance(node, Template) else node.value


def from_plain(value: object, place: Place, via: tuple[Via, ...] = ()) -> Node:
    """A tree of plain data, all of it at one place."""
    if isinstance(value, dict):
        entries = {str(key): from_plain(child, place, via) for key, child in value.items()}
        return Mapping(entries, {key: Key(place) for key in entries}, place)
    if isinstance(value, list | tuple):
        return Sequence([from_plain(item, place, via) for item in value], place)
    assert value is None or isinstance(value, str | int | float | bool), type(value)
    return Scalar(value, "" if value is None else str(value), place, via=via)


def origin_of(node: Node) -> Origin:
    """Where a value comes from. A list of scalars speaks for its items: their steps are joined."""
    if isinstance(node, Scalar):
        return Origin(node.place, node.via)
    if isinstance(node, Sequence):
        steps = {via: None for item in node.items if isinstance(item, Scalar) for via in item.via}
        return Origin(node.place, tuple(steps))
    return Origin(node.place)
