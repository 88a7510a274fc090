"""Variables for `${…}` and `env`: the caller's environment over the env files; and the format of env files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stackfile.errors import Place, StackError
from stackfile.language.interpolate import interpolate
from stackfile.language.tracked import Tracker
from stackfile.model.stack import Via

ENVIRONMENT = Place("environment")
"""Where variables of the caller's environment come from."""

_EXPORT = re.compile(r"export\s+")
_NAME = re.compile(r"(?:[^\W_]|[_.\-\[\]]|[ \t\v\f\r\x85\xa0])*")
_BLANKS = tuple(" \t\v\f\r\x85\xa0")
_QUOTED = {
    "'": re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\", "$": "$$",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    value: str
    at: Place


class Variables(dict[str, str]):
    """Name → value, the caller's environment over the env files. Reads are noted in the tracker; variables that are
    asked for in vain are gathered in `unset`, with the first place."""

    __slots__ = ("_files", "_tracker", "unset")

    def __init__(self, environ: Mapping[str, str], files: Mapping[str, Variable], tracker: Tracker) -> None:
        super().__init__({name: variable.value for name, variable in files.items()})
        self.update(environ)
        self._files = {name: variable.at for name, variable in files.items() if name not in environ}
        self._tracker = tracker
        self.unset: dict[str, Place] = {}

    def __getitem__(self, name: str) -> str:
        value = super().__getitem__(name)
        self._tracker.note((Via(f"env.{name}", self._files.get(name, ENVIRONMENT)),))
        return value

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 (this is get)

    def missing(self, name: str, place: Place) -> None:
        self.unset.setdefault(name, place)

    def define(self, name: str, value: str) -> None:
        """A variable that the stack itself decides."""
        dict.__setitem__(self, name, value)

    def beneath(self, files: Mapping[str, Variable]) -> Variables:
        """These variables over those of further env files (of an included stack)."""
        result = Variables({}, files, self._tracker)
        dict.update(result, self)
        result._files = {**{name: entry.at for name, entry in files.items() if name not in self}, **self._files}
        result.unset = self.unset
        return result


def parse_env_file(text: str, file: str, lookup: Mapping[str, str]) -> dict[str, Variable | None]:
    """The assignments of an env file (Compose's dotenv): quotes, `export`, comments, `${…}` in what is not
    single-quoted. None for a name without `=`: it is taken from the environment.

    Raises StackError bad-value, and those of interpolation.
    """
    text = text.removeprefix("\ufeff")
    result: dict[str, Variable | None] = {}

    def find(name: str) -> str | None:
        own = result.get(name)
        # As Compose: the environment wins over what the file itself said before.
        return lookup.get(name, own.value if own else None)

    position = counted = 0
    line = 1
    while (position := _statement(text, position)) < len(text):
        position = match.end() if (match := _EXPORT.match(text, position)) else position
        start = position
        line, counted = line + text.count("\n", counted, start), start
        place = Place(file, line, start - text.rfind("\n", 0, start))
        name, position = _name(text, start, place)
        if name is None:
            result[text[start:position].strip()] = None
            continue
        raw, position, expand = _value(text, position, place)
        value = interpolate(raw, _Lookup(find), place) if expand else raw
        result[name] = Variable(value, place)
    return result


def _statement(text: str, position: int) -> int:
    """Where the next assignment begins: behind blanks and comments."""
    while position < len(text):
        if text[position] == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        elif not text[position].isspace():
            break
        else:
            position += 1
    return position


def _name(text: str, start: int, place: Place) -> tuple[str | None, int]:
    """(name, where its value begins), or (None, end of the line) of a name alone. Raises StackError."""
    match = _NAME.match(text, start)
    end = match.end() if match else start
    sign = text[end : end + 1]
    name = text[start:end].strip()
    if (sign and sign not in "=:\n") or " " in name:
        raise StackError("bad-value", "not an assignment `NAME=value`", at=place)
    if not name:
        raise StackError("bad-value", "'' is no name of a variable", at=place)
    if sign not in ("=", ":"):
        return None, end
    while text[end + 1 : end + 2] in _BLANKS:
        end += 1
    return name, end + 1


class _Lookup:
    """A function as the mapping that `interpolate` reads."""

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self.find = find

    def get(self, name: str) -> str | None:
        return self.find(name)

    def missing(self, name: str, place: Place) -> None:
        """Unset variables of an env file are empty."""


def _value(text: str, start: int, place: Place) -> tuple[str, int, bool]:
    """(value, position behind it, whether it is expanded) of the value that begins at `start`."""
    quote = text[start : start + 1]
    if quote in ("'", '"'):
        return _quoted(text, start, quote, place)
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return text[start:end].partition(" #")[0].rstrip(), end, True


def _quoted(text: str, start: int, quote: str, place: Place) -> tuple[str, int, bool]:
    """What follows the closing quote is the next assignment, as for Compose."""
    match = _QUOTED[quote].match(text, start)
    if not match:
        raise StackError("bad-value", f"the quote {quote} is not closed", at=place)
    value = match.group(1).replace("\\" + quote, quote) if quote == "'" else _ESCAPE.sub(_unescaped, match.group(1))
    return value, match.end(), quote == '"'


def _unescaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match.group(1), match.group())
