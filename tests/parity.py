"""Comparing two JSON documents of the Docker API: keys, types, and values after masking what must differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

_MASKS = (
    (re.compile(r"sha256:[0-9a-f]{64}"), "<digest>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"/(?:var/tmp|tmp)/[^\s\"]+"), "<path>"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b(?<!0\.0\.0\.0)(?<!127\.0\.0\.1)"), "<address>"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
)


def mask(text: str) -> str:
    """`text` without ids, times, paths below temporary directories, and addresses."""
    for pattern, word in _MASKS:
        text = pattern.sub(word, text)
    return text


@dataclass
class Rules:
    """`types` names paths whose values may differ, not their types; `different` those that may differ, with why.

    Paths are `command.key.key`, with `*` as in fnmatch; ids as keys are `<id>`, items of a list are `[]`.
    """

    types: tuple[str, ...]
    different: Mapping[str, str]
    used: set[str] = field(default_factory=set)

    def compare(self, name: str, theirs: Any, ours: Any) -> list[str]:
        """What differs beyond the rules, a line each."""
        return list(self._compare(name, theirs, ours))

    def unused(self) -> list[str]:
        """Differences that no comparison found. Values of a moment may agree by chance."""
        return [pattern for pattern in self.different if pattern not in self.used]

    def _compare(self, path: str, theirs: Any, ours: Any) -> Iterator[str]:
        # A value that is the same needs no rule; one that is not may have one.
        if _masked(theirs) == _masked(ours):
            return
        if self._matches(path, self.different):
            return
        if type(theirs) is not type(ours):
            yield f"{path}: {_short(theirs)} in Docker, {_short(ours)} here"
        elif isinstance(theirs, dict):
            yield from self._objects(path, _keyed(theirs), _keyed(ours))
        elif isinstance(theirs, list):
            yield from self._lists(path, theirs, ours)
        elif not self._matches(path, self.types):
            yield f"{path}: {_short(theirs)} in Docker, {_short(ours)} here"

    def _objects(self, path: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
        for key in sorted(theirs.keys() | ours.keys()):
            inner = f"{path}.{key}"
            if key in theirs and key in ours:
                yield from self._compare(inner, theirs[key], ours[key])
            elif not self._matches(inner, self.different):
                where, value = ("Docker", theirs[key]) if key in theirs else ("ours", ours[key])
                yield f"{inner}: only in {where}: {_short(value)}"

    def _lists(self, path: str, theirs: list[Any], ours: list[Any]) -> Iterator[str]:
        if len(theirs) != len(ours):
            if not self._matches(path, self.types):
                yield f"{path}: {_short(theirs)} in Docker, {_short(ours)} here"
            return
        for one, other in zip(sorted(theirs, key=_order), sorted(ours, key=_order), strict=True):
            yield from self._compare(f"{path}[]", one, other)

    def _matches(self, path: str, patterns: tuple[str, ...] | Mapping[str, str]) -> bool:
        for pattern in patterns:
            if fnmatchcase(path, pattern.replace("[]", "[[][]]")):
                self.used.add(pattern)
                return True
        return False


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key): _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_masked(item) for item in value), key=repr)
    return (type(value).__name__, value)


def _keyed(value: dict[str, Any]) -> dict[str, Any]:
    return {mask(key): item for key, item in value.items()}


def _order(value: Any) -> str:
    """Lists are compared as sets are, by what names their items where they are objects."""
    if isinstance(value, dict):
        return str(
            [value.get(key) for key in ("Name", "Destination", "PrivatePort", "Names", "RepoTags") if key in value]
        )
    return mask(str(value))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 160 else text[:160] + "…"
