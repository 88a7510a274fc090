"""Parsers of simple values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from stackfile.errors import StackError
from stackfile.language import commands, scalars, units
from stackfile.language.merge import pairs_to_mapping
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence
from stackfile.language.normalise.context import not_a

T = TypeVar("T")
NO_TEXTS: tuple[str, ...] = ()
"""Default of lists of texts."""

_TRUE = frozenset({"true", "yes", "on", "y", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "0"})


def text(node: Node) -> str:
    """A string. Whole numbers are taken too (a template may give one); booleans and fractions are not."""
    if isinstance(node, Scalar):
        if isinstance(node.value, str):
            return node.value
        if isinstance(node.value, int) and not isinstance(node.value, bool):
            return scalars.text_of(node.value)
    return not_a(node, "text")


def any_text(node: Node) -> str:
    """A scalar as text, as in environment and labels."""
    if isinstance(node, Scalar) and node.value is not None:
        return scalars.text_of(node.value)
    return not_a(node, "text")


def name(node: Node) -> str:
    """A text that is not empty."""
    value = text(node)
    if not value:
        raise StackError("bad-value", "this must not be empty", at=node.place)
    return value


def is_empty(node: Node | None) -> bool:
    """Whether a node is an empty text: what a variable that is not set leaves."""
    return isinstance(node, Scalar) and node.value == ""


def if_filled(parse: Callable[[Node], T], default: T) -> Callable[[Node], T]:
    """A parser for which an empty text is none, as for Compose."""
    return lambda node: default if is_empty(node) else parse(node)


def integer(node: Node) -> int:
    """A whole number, also as text (`${N}` is text)."""
    if isinstance(node, Scalar):
        if isinstance(node.value, int) and not isinstance(node.value, bool):
            return node.value
        if isinstance(node.value, float) and node.value.is_integer():
            return int(node.value)
        if isinstance(node.value, str) and (value := scalars.whole(node.value.strip())) is not None:
            return value
    return not_a(node, "a whole number")


def natural(node: Node) -> int:
    value = integer(node)
    if value < 0:
        raise StackError("bad-value", f"{value} is negative", at=node.place)
    return value


def boolean(node: Node) -> bool:
    if isinstance(node, Scalar):
        if isinstance(node.value, bool):
            return node.value
        if isinstance(node.value, str) and node.value.lower() in _TRUE | _FALSE:
            return node.value.lower() in _TRUE
    return not_a(node, "true or false")


def size(node: Node) -> int:
    """Bytes: a number, or text with a unit."""
    if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return natural(node)
    return units.size(text(node))


def duration(node: Node) -> int:
    """Nanoseconds."""
    return units.duration(text(node))


def cpus(node: Node) -> int:
    """Billionths of a CPU."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return not_a(node, "a number")
    return units.cpus(any_text(node))


def texts(node: Node) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(item) for item in items(node))


def one_or_texts(node: Node) -> tuple[str, ...]:
    """One text or a list of them."""
    return (text(node),) if isinstance(node, Scalar) else texts(node)


def items(node: Node) -> list[Node]:
    return node.items if isinstance(node, Sequence) else not_a(node, "a list")


def command(node: Node) -> tuple[str, ...]:
    """A command: a list, or text that is split nearly as a shell splits words."""
    return tuple(_words(node)[0]) if isinstance(node, Scalar) else texts(node)


def dropped(node: Node) -> str:
    """What of a command's text no program sees: from a shell's operator on."""
    return _words(node)[1] if isinstance(node, Scalar) else ""


def _words(node: Node) -> tuple[list[str], str]:
    try:
        return commands.split(text(node))
    except ValueError as error:
        hint = "write a list: [sh, -c, …]"
        raise StackError("bad-value", "not a command", at=node.place, cause=str(error), hint=hint) from error


def pairs(node: Node) -> dict[str, str]:
    """A mapping of scalars, or a list of `key=value`; no value is an empty one."""
    node = pairs_to_mapping(node, "=")
    if not isinstance(node, Mapping):
        return not_a(node, "a mapping or a list")
    result: dict[str, str] = {}
    for key, child in node.entries.items():
        empty = isinstance(child, Scalar) and type(child) is Scalar and child.value is None
        result[key] = "" if empty else any_text(child)
    return result


def hosts(node: Node) -> tuple[str, ...]:
    """extra_hosts as `name=address`: a list of `name=address` or `name:address`, or a mapping."""
    if isinstance(node, Mapping):
        return tuple(f"{key}={bare(address)}" for key, child in node.entries.items() for address in one_or_texts(child))
    return tuple(_host(item) for item in items(node))


def bare(address: str) -> str:
    """An address without the brackets around it."""
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def _host(node: Node) -> str:
    value = text(node)
    name, separator, address = value.partition("=" if "=" in value else ":")
    if not separator or not name or not address:
        raise StackError("bad-value", f"not `name=address`: {value!r}", at=node.place)
    return f"{name}={bare(address)}"


def signal(node: Node) -> str:
    """A signal by name or number."""
    value = text(node)
    if not re.fullmatch(r"(SIG)?[A-Z][A-Z0-9+\-]*|\d{1,2}", value.upper()):
        raise StackError("bad-value", f"not a signal: {value!r}", at=node.place)
    return value


def file_mode(node: Node) -> int:
    """A mode: an octal number, or text of octal digits."""
    if isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
        value = node.value
    else:
        digits = text(node)
        if not re.fullmatch(r"(0o?)?[0-7]{1,4}", digits):
            raise StackError("bad-value", f"not a mode: {digits!r}", at=node.place)
        value = int(digits.replace("o", ""), 8)
    if not 0 <= value <= 0o7777:
        raise StackError("bad-value", f"not a mode: {value:o}", at=node.place)
    return value
