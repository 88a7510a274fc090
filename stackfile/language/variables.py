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

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.\-\[\]]*)[ \t]*(?:[=:][ \t]*|(?=\r?\n|$))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


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
    result: dict[str, Variable | None] = {}

    def find(name: str) -> str | None:
        own = result.get(name)
        # As Compose: the environment wins over what the file itself said before.
        return lookup.get(name, own.value if own else None)

    position, line = 0, 1
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        stripped = text[position:end].strip()
        if not stripped or stripped.startswith("#"):
            position, line = end + 1, line + 1
            continue
        match = _ASSIGNMENT.match(text, position)
        if not match:
            raise StackError("bad-value", "not an assignment `NAME=value`", at=Place(file, line, 1))
        place = Place(file, line, match.start(1) - position + 1)
        if match.end() == match.end(1) or match.group(0).rstrip()[-1] not in "=:":
            result[match.group(1)] = None
            position, line = end + 1, line + 1
            continue
        raw, after, expand = _value(text, match.end(), place)
        value = interpolate(raw, _Lookup(find), place) if expand else raw
        result[match.group(1)] = Variable(value, place)
        line += text.count("\n", position, after)
        end = text.find("\n", after)
        position, line = (len(text), line) if end < 0 else (end + 1, line + 1)
    return result


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
    raw = text[start : len(text) if end < 0 else end].rstrip("\r")
    comment = re.search(r"(^|\s)#", raw)
    raw = raw[: comment.start()] if comment else raw
    return raw.strip(), len(text) if end < 0 else end, True


def _quoted(text: str, start: int, quote: str, place: Place) -> tuple[str, int, bool]:
    pieces: list[str] = []
    index = start + 1
    while index < len(text):
        char = text[index]
        if char == quote:
            return "".join(pieces), index + 1, quote == '"'
        if char == "\\" and quote == '"' and index + 1 < len(text):
            following = text[index + 1]
            pieces.append(_ESCAPES.get(following, "\\" + following))
            index += 2
            continue
        pieces.append(char)
        index += 1
    raise StackError("bad-value", f"the quote {quote} is not closed", at=place)
