"""Bounds on what filters and methods of templates make of small arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from stackfile.errors import StackError

MAX_TEXT = 4 << 20
"""Characters of one result."""
MAX_WIDTH = 100_000
"""Columns, lines and items that one argument may ask for."""


def limit(what: str) -> StackError:
    return StackError("template-limit", f"the template {what}")


def _check(size: int) -> None:
    if size > MAX_TEXT:
        raise limit(f"gives more than {MAX_TEXT} characters")


def _replaced(text: str, old: str, new: str) -> None:
    found = text.count(old) if len(new) > len(old) else 0
    _check(len(text) + found * (len(new) - len(old)))


def _joined(separator: str, items: Iterable[Any]) -> list[Any]:
    """The items, which may have come from a generator, once their text is known to be short enough."""
    parts, size = [], 0
    for item in items:
        parts.append(item)
        size += len(separator) + (len(item) if isinstance(item, str) else 1)
        _check(size)
    return parts


def check_method(name: str, owner: str, args: tuple[Any, ...]) -> None:
    """Before a method of a text is called. Raises StackError (template-limit)."""
    if name == "translate":
        _check(len(owner) * max((len(str(value)) for value in _values(args)), default=1))
    elif name == "replace" and len(args) > 1:
        _replaced(owner, str(args[0]), str(args[1]))
    elif name == "join" and args and isinstance(args[0], list | tuple | str | dict):
        _joined(owner, args[0])


def _values(args: tuple[Any, ...]) -> Iterable[Any]:
    return args[0].values() if args and isinstance(args[0], dict) else args


def _numbers(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    return max((value for value in (*args, *kwargs.values()) if isinstance(value, int)), default=0)


def _longest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    return max((len(value) for value in (*args, *kwargs.values()) if isinstance(value, str)), default=0)


def bounded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """One of Jinja's filters, refusing (template-limit) what would give too much. `join` keeps its `attribute`."""

    @functools.wraps(original)  # with the marks of what Jinja passes first
    def call(*given: Any, **kwargs: Any) -> Any:
        first = 1 if hasattr(original, "jinja_pass_arg") else 0
        value, args = given[first], given[first + 1 :]
        if name in ("batch", "slice") and _numbers(args, kwargs) > MAX_WIDTH:
            raise limit(f"asks for more than {MAX_WIDTH} items")
        if name == "indent":
            _check(str(value).count("\n") * (_numbers(args, kwargs) + _longest(args, kwargs)))
            _check(_numbers(args, kwargs))
        if name == "wordwrap":
            _check(len(str(value)) * (1 + _longest(args, kwargs)))
        if name == "replace" and len(args) > 1:
            _replaced(str(value), str(args[0]), str(args[1]))
        if name == "join":
            value = _joined(str(args[0]) if args else str(kwargs.get("d", "")), value)
        return original(*given[:first], value, *args, **kwargs)

    return call
