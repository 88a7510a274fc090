"""What can be set of a stack's values, what it is, and where that comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stackfile.errors import Place
from stackfile.language.nodes import Mapping, Node, Scalar, at_path, to_plain
from stackfile.language.nodes import Sequence as ListNode

DEFAULT = "default"
_CONSTRAINTS = (
    "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems",
)  # fmt: skip
"""Keywords of a JSON Schema that say what a value may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value: its path as `--set` takes it, and where it comes from."""

    path: str
    type: str
    """text, number, boolean, list, map, null; any where neither a default nor the schema says it."""
    value: Any = None
    default: Any = None
    """As written, templates too; None where there is no default."""
    default_at: Place | None = None
    source: str = ""
    """`default`, `environment NAME`, `--values`, `--set` …; nothing: it is not set."""
    at: Place | None = None
    description: str = ""
    constraints: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The values of one load: the defaults, what was laid over them (source, tree), the whole, and what it became."""

    defaults: Mapping | None
    overs: Sequence[tuple[str, Mapping]]
    tree: Mapping
    result: dict[str, Any]
    schema: Any


def of(given: Given) -> list[Setting]:
    """Every value that can be set, in the order of the file; then those that only the schema names."""
    return list(_below(given, (), given.tree, given.result, given.schema))


def _below(given: Given, path: tuple[str, ...], node: Node | None, result: Any, schema: Any) -> Iterator[Setting]:
    rules = schema if isinstance(schema, dict) else {}
    properties = rules.get("properties") if isinstance(rules.get("properties"), dict) else {}
    children = node.entries if isinstance(node, Mapping) else {}
    names = list(dict.fromkeys([*children, *(properties or {})]))
    if path and (not names or not (node is None or isinstance(node, Mapping))):
        yield _setting(given, path, node, result, rules)
        return
    for name in names:
        inner = (properties or {}).get(name, rules.get("additionalProperties"))
        value = result.get(name) if isinstance(result, dict) else None
        yield from _below(given, (*path, name), children.get(name), value, inner)


def _setting(given: Given, path: tuple[str, ...], node: Node | None, value: Any, rules: dict[str, Any]) -> Setting:
    default = at_path(given.defaults, path)
    source = next((name for name, over in reversed(given.overs) if _covers(over, path)), DEFAULT)
    return Setting(
        path=".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in path),
        type=_type(default, rules) or _type(node, {}) or _type_of(value) or "any",
        value=value,
        default=None if default is None else to_plain(default),
        default_at=None if default is None else default.place,
        source=source if node is not None else "",
        at=node.place if node is not None else None,
        description=str(rules.get("description", "")),
        constraints={name: rules[name] for name in _CONSTRAINTS if name in rules},
    )


def _covers(over: Mapping, path: tuple[str, ...]) -> bool:
    """Whether a tree says something of a path: it has it, or something that is no mapping above it."""
    node: Node | None = over
    for name in path:
        if not isinstance(node, Mapping):
            break
        node = node.get(name)
    return node is not None


_NAMES = {"string": "text", "number": "number", "integer": "number", "boolean": "boolean", "array": "list",
          "object": "map", "null": "null"}  # fmt: skip


def _type(node: Node | None, rules: dict[str, Any]) -> str:
    """What the schema says, else what the default is; nothing where neither does."""
    said = rules.get("type")
    if said:
        return " or ".join(
            dict.fromkeys(_NAMES.get(name, str(name)) for name in ([said] if isinstance(said, str) else said))
        )
    if isinstance(node, Mapping):
        return "map"
    if isinstance(node, ListNode):
        return "list"
    return _type_of(node.value) if isinstance(node, Scalar) else ""


def _type_of(value: Any) -> str:
    """The type of what a template became, or of a scalar; nothing for null."""
    kinds = ((bool, "boolean"), (str, "text"), (dict, "map"), (list, "list"), ((int, float), "number"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "")
