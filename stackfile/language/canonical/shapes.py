"""Shapes: what a value may be, and how it is written out.

A shape is a function of a node. It returns plain data, or raises StackError (bad-type, bad-value) at the node. Empty
results are left out by `record`, unless the key is one that says something while empty.
"""

from __future__ import annotations

import difflib
import math
import struct
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

from stackfile.errors import StackError
from stackfile.language import units
from stackfile.language.nodes import Broken, Mapping, Node, Scalar, Sequence, to_plain
from stackfile.language.normalise.context import Context, Skip, not_a
from stackfile.language.scalars import text_of, whole
from stackfile.model.stack import SECOND

Shape: TypeAlias = Callable[[Node, Context], Any]
Table: TypeAlias = dict[str, Shape]

_TRUE = frozenset({"true", "yes", "on", "y"})
_FALSE = frozenset({"false", "no", "off", "n"})
_INT64 = range(-(1 << 63), 1 << 63)


def _value(node: Node) -> Any:
    """The value of a scalar; the node itself where it is none."""
    return node.value if isinstance(node, Scalar) and not isinstance(node, Broken) else node


def text(node: Node, context: Context) -> str:
    value = _value(node)
    return value if isinstance(value, str) else not_a(node, "text")


def name(node: Node, context: Context) -> str:
    """A text that is not empty."""
    value = text(node, context)
    if not value:
        raise StackError("bad-value", "this must not be empty", at=node.place)
    return value


def boolean(node: Node, context: Context) -> bool:
    """A boolean, also as text."""
    value = _value(node)
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    return value if isinstance(value, bool) else not_a(node, "true or false")


def strict_boolean(node: Node, context: Context) -> bool:
    value = _value(node)
    return value if isinstance(value, bool) else not_a(node, "true or false")


def _integer_of(node: Node, value: Any, wanted: str) -> int:
    if isinstance(value, str):
        found = whole(value)
        return found if found is not None and found in _INT64 else not_a(node, wanted)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return not_a(node, wanted)
    if value != value or abs(value) >= 1 << 64:
        return not_a(node, wanted)
    return int(value)


def integer(node: Node, context: Context) -> int:
    """A whole number, also as text."""
    value = _value(node)
    if isinstance(value, float) and not value.is_integer():
        return not_a(node, "a whole number")
    return _integer_of(node, value, "a whole number")


def number(node: Node, context: Context) -> int:
    """A number of which the whole part counts, also as text."""
    return _integer_of(node, _value(node), "a number")


def strict_integer(node: Node, context: Context) -> int:
    value = _value(node)
    return not_a(node, "a whole number") if isinstance(value, str) else integer(node, context)


def plain_number(node: Node, context: Context) -> int:
    """A number of which the whole part counts."""
    value = _value(node)
    return not_a(node, "a number") if isinstance(value, str) else number(node, context)


def between(shape: Shape, low: int, high: int) -> Shape:
    """A number in a range."""

    def check(node: Node, context: Context) -> int:
        value: int = shape(node, context)
        if not low <= value <= high:
            raise StackError("bad-value", f"this is from {low} to {high}, not {value}", at=node.place)
        return value

    return check


def fraction(node: Node, context: Context) -> float | int:
    """A number of single precision, also as text."""
    value = _value(node)
    if isinstance(value, str):
        try:
            value = float(value if value == value.strip() else "")
        except ValueError:
            return not_a(node, "a number")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return not_a(node, "a number")
    return _single(float(value))


def _single(value: float) -> float | int:
    """A number as single precision keeps it, in the fewest digits that say so."""
    try:
        packed = struct.pack("f", value)
    except OverflowError:
        return value
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == packed:
            return int(short) if short.is_integer() else short
    return value


def size(node: Node, context: Context) -> str:
    """Bytes, as text: a whole number, or text with a unit; -1 is without limit. A fraction counts as nothing."""
    value = _value(node)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return not_a(node, "a size")
    if isinstance(value, float):
        return ""
    if isinstance(value, int) or value == "-1":
        return "" if int(value) == 0 else str(int(value))
    try:
        return str(units.size(value) or "")
    except StackError as error:
        error.at = error.at or node.place
        raise


def duration(node: Node, context: Context) -> str:
    """A duration as Go writes it."""
    value = text(node, context)
    try:
        sign = "-" if value.startswith("-") else ""
        return sign + go_duration(units.duration(value.removeprefix("-")))
    except StackError as error:
        error.at = error.at or node.place
        raise


def go_duration(nanoseconds: int) -> str:
    """Nanoseconds as Go writes a duration: `1h0m0s`, `1.5s`, `10ms`."""
    if not nanoseconds:
        return "0s"
    for unit, factor in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if nanoseconds < factor * 1000:
            return f"{_decimal(nanoseconds, factor)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, SECOND)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(value: int, factor: int) -> str:
    whole, rest = divmod(value, factor)
    digits = str(rest).rjust(len(str(factor)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{digits}" if digits else str(whole)


def one_of(*words: str) -> Shape:
    """One of some words."""

    def check(node: Node, context: Context) -> str:
        value = text(node, context)
        if value not in words:
            raise StackError("bad-value", f"{value!r} is not possible here", at=node.place, hint=", ".join(words))
        return value

    return check


def matching(pattern: Any, what: str) -> Shape:
    """Text in which a pattern is found."""

    def check(node: Node, context: Context) -> str:
        value = text(node, context)
        if not pattern.search(value):
            raise StackError("bad-value", f"not {what}: {value!r}", at=node.place)
        return value

    return check


def scalar(node: Node, context: Context, null: bool = True) -> str | None:
    """A scalar as text; None for null."""
    value = _value(node)
    if value is None and null:
        return None
    if not isinstance(value, str | int | float):
        return not_a(node, "text")
    if isinstance(value, float) and not math.isfinite(value):
        raise StackError("bad-value", f"{text_of(value)} is no number", at=node.place)
    return text_of(value)


def option(node: Node, context: Context) -> str:
    """An option of a driver: text or a number."""
    return not_a(node, "text") if isinstance(_value(node), bool) else scalar(node, context, null=False) or ""


def option_or_null(node: Node, context: Context) -> str:
    """As `option`, and null for an empty one."""
    return not_a(node, "text") if isinstance(_value(node), bool) else scalar(node, context) or ""


def text_or_boolean(node: Node, context: Context) -> str:
    value = _value(node)
    return text_of(value) if isinstance(value, str | bool) else not_a(node, "text or a boolean")


def text_or_integer(node: Node, context: Context) -> str:
    """Text, or a whole number as text."""
    value = _value(node)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else not_a(node, "text")


def extension(node: Node, context: Context) -> Any:
    """Anything."""
    return to_plain(node)


def list_of(shape: Shape, *, distinct: bool = False) -> Shape:
    """A list; with `distinct`, no item may be there twice."""

    def check(node: Node, context: Context) -> list[Any]:
        if not isinstance(node, Sequence):
            return not_a(node, "a list")
        seen: list[Any] = []
        for item in node.items if distinct else ():
            written = repr(to_plain(item))
            if written in seen:
                raise StackError("bad-value", f"{written} is there twice", at=item.place)
            seen.append(written)
        return [shape(item, context) for item in node.items]

    return check


texts = list_of(text)
distinct_texts = list_of(text, distinct=True)


def unique_of(shape: Shape) -> Shape:
    """A list of texts: of those with the same `key=` the last, where the first stood."""
    several = list_of(shape)

    def check(node: Node, context: Context) -> list[str]:
        by_key = {item.partition("=")[0]: item for item in several(node, context)}
        return list(by_key.values())

    return check


unique_texts = unique_of(text)


def one_or(shape: Shape, *, empty: bool = True) -> Shape:
    """One text, or a list of them. `empty`: whether an empty text is one."""

    def check(node: Node, context: Context) -> Any:
        if isinstance(node, Sequence):
            return shape(node, context)
        value = text(node, context)
        return [value] if value or empty else []

    return check


one_or_unique = one_or(unique_texts)
one_or_distinct = one_or(distinct_texts)


def map_of(shape: Shape, key: Any = None) -> Shape:
    """A mapping of free keys."""

    def check(node: Node, context: Context) -> dict[str, Any]:
        if not isinstance(node, Mapping):
            return not_a(node, "a mapping")
        result: dict[str, Any] = {}
        for entry, child in node.entries.items():
            if key is not None and not key.fullmatch(entry):
                raise StackError("bad-name", f"{entry!r} is no name here", at=node.keys[entry].place)
            result[entry] = shape(child, context)
        return result

    return check


def variables(node: Node, context: Context) -> dict[str, str | None]:
    """A mapping of scalars, or a list of `key=value`; None where there is no value."""
    if isinstance(node, Sequence):
        pairs = [text(item, context).partition("=") for item in node.items]
        return {key: value if separator else None for key, separator, value in pairs}
    if not isinstance(node, Mapping):
        return not_a(node, "a mapping or a list")
    for key, mark in node.keys.items():
        if not key:
            raise StackError("bad-name", "an empty key", at=mark.place)
    return {key: scalar(child, context) for key, child in node.entries.items()}


def labels(node: Node, context: Context) -> dict[str, str]:
    """As `variables`, and no value is an empty one."""
    return {key: value or "" for key, value in variables(node, context).items()}


def distinct(shape: Shape) -> Shape:
    """`shape`, where a list may hold no item twice."""

    def check(node: Node, context: Context) -> Any:
        if isinstance(node, Sequence):
            distinct_texts(node, context)
        return shape(node, context)

    return check


def environment(node: Node, context: Context) -> dict[str, str | None]:
    """As `variables`; a name does not end in a blank."""
    found = variables(node, context)
    for key in found:
        if key != key.rstrip():
            raise StackError("bad-name", f"{key!r} ends in a blank", at=node.place)
    return found


def has_variable(node: Node) -> bool:
    """Whether there is a `$` in any text of it."""
    if isinstance(node, Mapping):
        return any(has_variable(child) for child in node.entries.values())
    if isinstance(node, Sequence):
        return any(has_variable(item) for item in node.items)
    return isinstance(node, Scalar) and isinstance(node.value, str) and "$" in node.value


def is_null(node: Node) -> bool:
    return type(node) is Scalar and node.value is None


def record(
    what: str,
    table: Table,
    *,
    keep: Collection[str] = (),
    required: Collection[str] = (),
    defaults: dict[str, Any] | None = None,
    extensions: bool = True,
    others: bool = False,
) -> Shape:
    """A mapping with known keys, and with `others` unknown ones that mean nothing.

    `keep` are keys that are written though their value is empty.
    """

    def check(node: Node, context: Context) -> dict[str, Any]:
        if not isinstance(node, Mapping):
            return not_a(node, "a mapping")
        result: dict[str, Any] = dict(defaults or {})
        for key, child in node.entries.items():
            shape = table.get(key)
            if shape is None:
                if not others and not (extensions and key.startswith("x-")):
                    _unknown(what, key, table, node, context)
                continue
            try:
                value = shape(child, context)
            except Skip:
                continue
            except StackError as error:
                if not context.form.interpolate and has_variable(child):
                    result[key] = to_plain(child)
                    continue
                error.at = error.at or child.place
                context.report(error)
                continue
            if key in keep or value not in ("", 0, False, None, [], {}):
                result[key] = value
            elif defaults:
                result.pop(key, None)
        for key in required:
            if key not in node.entries:
                context.report(StackError("missing-key", f"{what} needs `{key}`", at=node.place))
        return result

    return check


def _unknown(what: str, key: str, table: Table, node: Mapping, context: Context) -> None:
    close = difflib.get_close_matches(key, table, 1)
    hint = f"did you mean {close[0]}?" if close else ""
    context.report(StackError("unknown-key", f"unknown key {key!r} in {what}", at=node.keys[key].place, hint=hint))
