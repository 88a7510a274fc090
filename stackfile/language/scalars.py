"""Plain YAML scalars, resolved as Compose (go-yaml) resolves them, and numbers printed as Go prints them.

The rules are YAML 1.2's core schema with go-yaml's exceptions: `0o10` and `010` are octal, `0b11` binary, underscores
may separate digits, dates become times; `yes`, `on`, `22:22` stay text. Verified against Compose v5.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from stackfile.language.nodes import Value

_WORDS: dict[str, Value] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
    ".inf": float("inf"), ".Inf": float("inf"), ".INF": float("inf"),
    "+.inf": float("inf"), "+.Inf": float("inf"), "+.INF": float("inf"),
    "-.inf": float("-inf"), "-.Inf": float("-inf"), "-.INF": float("-inf"),
}  # fmt: skip

_NUMERIC_START = frozenset("0123456789+-.")
_PREFIXED = re.compile(r"([-+]?)0([xXoObB])([0-9a-fA-F]+)")
_OCTAL = re.compile(r"[-+]?0[0-7]+")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|[ ]+)(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?(Z|[-+]\d{2}:\d{2})?)?"
)
_BASES = {"x": 16, "o": 8, "b": 2}
_INT_RANGE = range(-(1 << 63), 1 << 64)
_LONGEST_INTEGER = 80
"""Characters: what is longer is outside of the range in any base, and Python refuses thousands of digits."""


def resolve(text: str) -> Value:
    """The value of a plain scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC_START:
        return text
    number = _number(text.replace("_", ""))
    if number is not None:
        return number
    return _timestamp(text) or text


def whole(text: str) -> int | None:
    """The number that decimal digits behind an optional sign say; None for other text, and beyond 64 bits."""
    if len(text) > _LONGEST_INTEGER or not _WHOLE.fullmatch(text):
        return None
    return value if (value := int(text)) in _INT_RANGE else None


def _number(text: str) -> int | float | None:
    if match := _PREFIXED.fullmatch(text):
        return _prefixed(match)
    if _OCTAL.fullmatch(text) and (octal := int(text, 8)) in _INT_RANGE:
        return octal
    if _INTEGER.fullmatch(text) and (value := whole(text)) is not None:
        return value
    if _FLOAT.fullmatch(text):
        number = float(text)
        # Zero-padded integers that are not octal (089) become floats in Go, which print as integers.
        return number if abs(number) != float("inf") else None
    return None


def _prefixed(match: re.Match[str]) -> int | None:
    sign, letter, digits = match.groups()
    try:
        value = int(sign + digits, _BASES[letter.lower()])
    except ValueError:
        return None
    return value if value in _INT_RANGE else None


def _timestamp(text: str) -> str | None:
    """A date as the text that Go gives it, since that is what reaches a container through Compose."""
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None
    fraction = (fraction or "").rstrip("0")
    offset = zone.replace(":", "") if zone and zone != "Z" else ""
    if offset and timedelta(hours=int(offset[1:3]), minutes=int(offset[3:])) > timedelta(hours=24):
        return None
    suffix = f"{offset} {offset}" if offset else "+0000 UTC"
    return f"{moment:%Y-%m-%d %H:%M:%S}{'.' + fraction if fraction else ''} {suffix}"


def text_of(value: Value) -> str:
    """A scalar as text: booleans `true`/`false`, numbers as Go's `%v` prints them, null as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float_text(value) if isinstance(value, float) else str(value)


def _float_text(value: float) -> str:
    """The shortest form that reads back equal; an exponent below -4 or from 21 digits (6 for a fraction's text)."""
    if value != value or abs(value) == float("inf"):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    if value == 0:
        return "-0" if str(value).startswith("-") else "0"
    mantissa, _, exponent_text = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    exponent = int(exponent_text or 0) + len(whole) - 1
    digits = (whole + fraction).lstrip("0")
    exponent -= len(whole + fraction) - len((whole + fraction).lstrip("0"))
    digits = digits.rstrip("0") or "0"
    if exponent < -4 or exponent >= 6:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    padded = digits.ljust(exponent + 1, "0")
    rest = padded[exponent + 1 :]
    return f"{sign}{padded[: exponent + 1]}{'.' + rest if rest else ''}"
