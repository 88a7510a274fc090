"""`${…}` in text, with Compose's grammar.

    $NAME ${NAME}                       the value, or nothing
    ${NAME:-text} ${NAME-text}          text if NAME is unset or empty / unset
    ${NAME:+text} ${NAME+text}          text if NAME is set and not empty / set
    ${NAME:?message} ${NAME?message}    an error if NAME is unset or empty / unset
    $$                                  a dollar sign, as is a `$` before what begins no name

`text` and `message` may contain further `${…}`.
"""

from __future__ import annotations

import re
from typing import Protocol

from stackfile.errors import Place, StackError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-+?]")
MAX_NESTING = 32


class Lookup(Protocol):
    """Where values come from."""

    def get(self, name: str, /) -> str | None: ...

    def missing(self, name: str, place: Place, /) -> None:
        """Told of a variable that is not set and has no default."""
        ...


class Unclosed(StackError):
    """A `${` that has no `}`: where a template begins inside it, the template phase says so instead."""


def interpolate(text: str, lookup: Lookup, place: Place) -> str:
    """`text` with every variable replaced. Raises StackError: interpolation-syntax, variable-required."""
    if "$" not in text:
        return text
    result, end = _until(text, 0, lookup, place, 0)
    assert end == len(text)
    return result


def _until(text: str, start: int, lookup: Lookup, place: Place, nesting: int) -> tuple[str, int]:
    """Interpolated text from `start` to the `}` that ends it (nesting > 0) or the end of the text."""
    if nesting > MAX_NESTING:
        raise StackError("interpolation-syntax", f"variables nested deeper than {MAX_NESTING}", at=place)
    pieces: list[str] = []
    index = start
    while index < len(text):
        char = text[index]
        if char == "$":
            piece, index = _variable(text, index, lookup, place, nesting)
            pieces.append(piece)
        elif char == "}" and nesting:
            return "".join(pieces), index
        else:
            stop = _next_special(text, index, nesting)
            pieces.append(text[index:stop])
            index = stop
    if nesting:
        raise Unclosed("interpolation-syntax", f"`${{` without `}}` in {_excerpt(text)}", at=place)
    return "".join(pieces), index


def _next_special(text: str, index: int, nesting: int) -> int:
    ends = [position for mark in ("$}" if nesting else "$") if (position := text.find(mark, index)) >= 0]
    return min(ends, default=len(text))


def _variable(text: str, index: int, lookup: Lookup, place: Place, nesting: int) -> tuple[str, int]:
    following = text[index + 1 : index + 2]
    if following == "$":
        return "$", index + 2
    if following == "{":
        return _braced(text, index, lookup, place, nesting)
    match = _NAME.match(text, index + 1)
    if not match:
        return "$", index + 1
    return _plain(match.group(), lookup, place), match.end()


def _plain(name: str, lookup: Lookup, place: Place) -> str:
    value = lookup.get(name)
    if value is None:
        lookup.missing(name, place)
    return value or ""


def _braced(text: str, index: int, lookup: Lookup, place: Place, nesting: int) -> tuple[str, int]:
    match = _NAME.match(text, index + 2)
    if not match:
        raise StackError("interpolation-syntax", f"`${{` needs a name in {_excerpt(text)}", at=place)
    name, position = match.group(), match.end()
    if text[position : position + 1] == "}":
        return _plain(name, lookup, place), position + 1
    operator = _OPERATOR.match(text, position)
    if not operator:
        if position >= len(text):
            raise Unclosed("interpolation-syntax", f"`${{` without `}}` in {_excerpt(text)}", at=place)
        raise StackError("interpolation-syntax", f"invalid variable in {_excerpt(text)}", at=place)
    sign, value = operator.group(), lookup.get(name)
    there = bool(value) if sign[0] == ":" else value is not None
    # The word is read in any case (it must be well formed), but not evaluated when it does not count.
    counts = there if sign[-1] == "+" else not there
    word, end = _until(text, operator.end(), lookup if counts else _Nothing(), place, nesting + 1)
    if sign[-1] == "?" and not there:
        raise StackError("variable-required", f"variable {name} is required", at=place, cause=word)
    if sign[-1] == "+":
        return (word if there else ""), end + 1
    return (value or "" if there else word), end + 1


class _Nothing:
    """Lookup of a word that is only skipped: nothing is missing in it."""

    def get(self, name: str) -> str | None:
        return "x"

    def missing(self, name: str, place: Place) -> None:
        return None


def _excerpt(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return repr(line if len(line) <= 60 else line[:57] + "…")
