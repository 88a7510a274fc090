"""Splitting a scalar into literals and expressions; expressions that are plain paths are evaluated without Jinja."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_KEYWORDS = frozenset({"true", "false", "none", "True", "False", "None", "not"})


@dataclass(frozen=True, slots=True)
class Literal:
    text: str
    index: int


@dataclass(frozen=True, slots=True)
class Expression:
    """The inside of one `{{ … }}`, and where the braces begin."""

    text: str
    index: int


class Unfinished(Exception):
    """An expression without end. `index` is where it begins."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


@dataclass(frozen=True, slots=True)
class Undefined(Exception):
    """A path leads nowhere: `path` up to and with the missing part, `known` what would have been there."""

    path: str
    known: tuple[str, ...]


def split(text: str) -> list[Literal | Expression] | None:
    """The parts of a scalar, or None where it needs Jinja as a whole (statements, comments, whitespace control)."""
    if "{%" in text or "{#" in text or "{{-" in text or "-}}" in text or "{{+" in text:
        return None
    parts: list[Literal | Expression] = []
    position = 0
    while (start := text.find("{{", position)) >= 0:
        if start > position:
            parts.append(Literal(text[position:start], position))
        end = _end(text, start)
        parts.append(Expression(text[start + 2 : end].strip(), start))
        position = end + 2
    if position < len(text):
        parts.append(Literal(text[position:], position))
    return parts


def _end(text: str, start: int) -> int:
    """Where the `}}` of the expression at `start` stands: outside of strings and of braces of its own."""
    index, depth = start + 2, 0
    while index < len(text):
        char = text[index]
        if char in "\"'":
            index = _string_end(text, index, start)
        elif char == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        elif text.startswith("}}", index):
            return index
        index += 1
    raise Unfinished(start)


def _string_end(text: str, opening: int, start: int) -> int:
    index = opening + 1
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] == text[opening]:
            return index
        index += 1
    raise Unfinished(start)


def is_path(text: str) -> bool:
    """Whether an expression is names joined by dots."""
    return _PATH.fullmatch(text) is not None and text not in _KEYWORDS


def follow(path: str, scope: Mapping[str, Any]) -> tuple[bool, Any]:
    """(True, value) of a path; (False, None) where Jinja must decide (an attribute of something that is no map).

    Raises Undefined.
    """
    names = path.split(".")
    value: Any = scope
    for position, name in enumerate(names):
        if not isinstance(value, Mapping):
            return False, None
        if name not in value:
            if hasattr(value, name) and position:
                return False, None
            raise Undefined(".".join(names[: position + 1]), tuple(value))
        value = value[name]
    return True, value
