"""Reading values of JSON that a client sent: the type, or a `bad-request` that names the key. null is absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.errors import ActionError

_LONGEST_SIDE = 65535
"""Of a terminal: the kernel keeps rows and columns as short integers (ioctl_tty(2))."""


def _bad(key: str, wanted: str, value: object) -> ActionError:
    return ActionError("bad-request", f"{key} must be {wanted}, not {type(value).__name__}")


def text(source: Mapping[str, Any], key: str, default: str = "") -> str:
    value = source.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise _bad(key, "text", value)
    return value


def number(source: Mapping[str, Any], key: str, default: int = 0) -> int:
    value = source.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        # Some clients send whole numbers as floats.
        if isinstance(value, float) and value.is_integer():
            return int(value)
        raise _bad(key, "a whole number", value)
    return value


def flag(source: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = source.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _bad(key, "true or false", value)
    return value


def texts(source: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts; a single text is a list of one."""
    value = source.get(key)
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _bad(key, "a list of texts", value)
    return tuple(value)


def objects(source: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    value = source.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise _bad(key, "a list of objects", value)
    return value


def mapping(source: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = source.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(key, "an object", value)
    return value


def text_mapping(source: Mapping[str, Any], key: str) -> dict[str, str]:
    value = mapping(source, key)
    if not all(isinstance(item, str) for item in value.values()):
        raise _bad(key, "an object of texts", value)
    return value


def size(source: Mapping[str, Any], key: str) -> tuple[int, int]:
    """A terminal's rows and columns; zeros where there are none. Raises ActionError (`bad-request`)."""
    value = source.get(key)
    if not value:
        return 0, 0
    if not isinstance(value, list) or len(value) != 2 or not all(type(item) is int for item in value):
        raise _bad(key, "two numbers", value)
    rows, columns = value
    if not (0 <= rows <= _LONGEST_SIDE and 0 <= columns <= _LONGEST_SIDE):
        raise _bad(key, f"numbers up to {_LONGEST_SIDE}", value)
    return rows, columns
