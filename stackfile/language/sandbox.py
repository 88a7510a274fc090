"""The Jinja environment of templates: sandboxed, strict, bounded in time and output.

Jinja is imported when the first expression needs more than a path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.runtime import Undefined
from jinja2.sandbox import SandboxedEnvironment

from stackfile.errors import StackError

MAX_STEPS = 1_000_000
"""Iterations of all loops of one load."""
MAX_TEXT = 4 << 20
"""Characters of one result."""
MAX_WIDTH = 100_000

_WIDE_METHODS = frozenset({"ljust", "rjust", "center", "zfill", "expandtabs"})
_WIDTH_IN_FORMAT = re.compile(r"\d{6,}|\*")
_REMOVED_FILTERS = ("pprint", "random", "xmlattr", "urlize", "safe", "escape", "e", "forceescape")


def limit(what: str) -> StackError:
    return StackError("template-limit", f"the template {what}")


class Environment(SandboxedEnvironment):
    """Keys of maps come before their methods, so that a value may be called `items`."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, finalize: Callable[[Any], str]) -> None:
        super().__init__(undefined=StrictUndefined, finalize=finalize, autoescape=False, keep_trailing_newline=True)
        self.steps = 0
        self.globals.clear()
        self.globals.update({"range": self._range, "dict": dict})
        for name in _REMOVED_FILTERS:
            self.filters.pop(name, None)
        self.filters["tojson"] = _tojson
        self.filters["center"] = _center
        self.filters["format"] = _format
        self.filters["_bounded"] = self.bounded

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        _check_format(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        _check_format(obj, argument)
        return super().getitem(obj, argument)

    def bounded(self, items: Iterable[Any]) -> Iterator[Any]:
        """Iterate, counting."""
        for item in items:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise limit(f"takes more than {MAX_STEPS} steps")
            yield item

    def _range(self, *arguments: int) -> range:
        result = range(*arguments)
        if len(result) > MAX_WIDTH:
            raise limit(f"asks for a range of more than {MAX_WIDTH}")
        return result

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Every loop counts its steps."""
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "_bounded", [], [], None, None, lineno=loop.lineno)
        return tree

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*" and (_sized(left) or _sized(right)):
            length, times = (len(left), right) if _sized(left) else (len(right), left)
            if isinstance(times, int) and length * times > MAX_TEXT:
                raise limit("multiplies text beyond the limit")
        elif operator == "**" and isinstance(right, int) and abs(right) > 1024:
            raise limit("computes too large a number")
        elif operator == "%" and isinstance(left, str) and _WIDTH_IN_FORMAT.search(left):
            raise limit("formats text beyond the limit")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.steps += 1
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str):
            if name in _WIDE_METHODS and any(isinstance(a, int) and a > MAX_WIDTH for a in (*args, *kwargs.values())):
                raise limit("pads text beyond the limit")
            if name in ("replace", "join", "translate") and len(owner) > MAX_WIDTH:
                raise limit("rewrites text beyond the limit")
        return super().call(context, obj, *args, **kwargs)


def _check_format(text: Any, method: Any) -> None:
    """`'{:1000000000}'.format(1)` would fill the memory."""
    if isinstance(text, str) and method in ("format", "format_map") and _WIDTH_IN_FORMAT.search(text):
        raise limit("formats text beyond the limit")


def _format(value: str, *args: Any, **kwargs: Any) -> str:
    if _WIDTH_IN_FORMAT.search(value):
        raise limit("formats text beyond the limit")
    return value % (kwargs or args)


def _sized(value: Any) -> bool:
    return isinstance(value, str | bytes | list | tuple)


def _center(value: str, width: int = 80) -> str:
    if width > MAX_WIDTH:
        raise limit("pads text beyond the limit")
    return str(value).center(width)


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON as such: Jinja's own escapes `<`, `>`, `&` and `'` for HTML."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    return json.dumps(value, indent=min(indent, 16) if indent else None, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
