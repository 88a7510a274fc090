"""The variables that a stack's files ask for, and what they say where one is not set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from stackfile.language.interpolate import mentions
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence, Template


@dataclass(frozen=True, slots=True)
class Asked:
    """A variable: the text for when it is not set (`-`), the one for when it is (`+`), whether it must be set (`?`)."""

    name: str
    default: str = ""
    alternate: str = ""
    required: bool = False


def of_tree(tree: Node) -> list[Asked]:
    """The variables in the values of a tree, by name. What is said of one in several places is put together."""
    found: dict[str, Asked] = {}
    for text in _texts(tree):
        for name, sign, word in mentions(text):
            asked = found.get(name, Asked(name))
            if sign == "-":
                asked = replace(asked, default=word)
            elif sign == "+":
                asked = replace(asked, alternate=word)
            found[name] = replace(asked, required=asked.required or sign == "?")
    return [found[name] for name in sorted(found)]


def _texts(node: Node) -> Iterator[str]:
    if isinstance(node, Mapping):
        for child in node.entries.values():
            yield from _texts(child)
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _texts(item)
    elif isinstance(node, Template):
        yield node.text
    elif isinstance(node, Scalar) and isinstance(node.value, str):
        yield node.value
