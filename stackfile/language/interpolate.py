"""`${…}` in text, with Compose's grammar.

    $NAME ${NAME}                       the value, or nothing
    ${NAME:-text} ${NAME-text}          text if NAME is unset or empty / unset
    ${NAME:+text} ${NAME+text}          text if NAME is set and not empty / set
    ${NAME:?message} ${NAME?message}    an error if NAME is unset or empty / unset
    $$                                  a dollar sign, as is a `$` that neither a name nor `{` follows

`text` and `message` may contain further `${…}` and end on their line; they are read only where they count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from stackfile.errors import Place, StackError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-+?]")
_BRACE = re.compile(r"\{.?|\}|\n")
"""What follows an opening brace is not looked at, as Compose does it."""
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
    return _expanded(text, lookup, place, 0)


def _expanded(text: str, lookup: Lookup, place: Place, nesting: int) -> str:
    if nesting > MAX_NESTING:
        raise StackError("interpolation-syntax", f"variables nested deeper than {MAX_NESTING}", at=place)
    pieces: list[str] = []
    index = 0
    while (found := text.find("$", index)) >= 0:
        pieces.append(text[index:found])
        piece, index = _variable(text, found, lookup, place, nesting)
        pieces.append(piece)
    pieces.append(text[index:])
    return "".join(pieces)


def _variable(text: str, index: int, lookup: Lookup, place: Place, nesting: int) -> tuple[str, int]:
    following = text[index + 1 : index + 2]
    if following == "$":
        return "$", index + 2
    if following == "{":
        return _braced(text, index, lookup, place, nesting)
    match = _NAME.match(text, index + 1)
    # As Compose since 5: a dollar sign that begins no variable is one.
    return (_plain(match.group(), lookup, place), match.end()) if match else ("$", index + 1)


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
    if not operator and position < len(text):
        raise StackError("interpolation-syntax", f"invalid variable in {_excerpt(text)}", at=place)
    end = _closing(text, index, operator.end()) if operator else -1
    if operator is None or end < 0:
        raise Unclosed("interpolation-syntax", f"`${{` without `}}` on its line in {_excerpt(text)}", at=place)
    sign, value, word = operator.group(), lookup.get(name), text[operator.end() : end]
    there = bool(value) if sign[0] == ":" else value is not None
    # A word that does not count is not read, whatever is in it.
    if there == (sign[-1] == "+"):
        word = _expanded(word, lookup, place, nesting + 1)
        if sign[-1] == "?":
            raise StackError("variable-required", f"variable {name} is required", at=place, cause=word)
        return word, end + 1
    return ("" if sign[-1] == "+" else value or ""), end + 1


def _closing(text: str, start: int, word: int) -> int:
    """Where the `}` of the `${` at `start` stands: on its line, braces inside counted; where they do not pair, the
    last one of the line. -1: nowhere."""
    opened = 0
    for match in _BRACE.finditer(text, start):
        if match.group() == "\n":
            return text.rfind("}", word, match.start())
        opened += -1 if match.group() == "}" else 1
        if not opened:
            return match.start()
    return text.rfind("}", word)


def _excerpt(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return repr(line if len(line) <= 60 else line[:57] + "…")


def mentions(text: str, nesting: int = 0) -> Iterator[tuple[str, str, str]]:
    """Every variable in `text`, nested ones too, as deep as they may be.

    Gives (name, `-`, `+`, `?` or nothing, the word behind it as written).
    """
    index = 0
    while (found := text.find("$", index)) >= 0:
        braced = text.startswith("{", found + 1)
        match = _NAME.match(text, found + 1 + braced)
        index = match.end() if match else found + (2 if text.startswith("$", found + 1) else 1)
        if not match:
            continue
        operator = _OPERATOR.match(text, index) if braced else None
        end = _closing(text, found, operator.end()) if operator else -1
        if operator is None or end < 0:
            yield match.group(), "", ""
            continue
        word = text[operator.end() : end]
        yield match.group(), operator.group()[-1], word
        if nesting < MAX_NESTING:
            yield from mentions(word, nesting + 1)
        index = end + 1
