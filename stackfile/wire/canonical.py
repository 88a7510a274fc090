"""The canonical form of a dataclass: defaults left out at every depth, keys sorted.

A new field of the model with a default therefore leaves the hash of everything that does not use it as it was;
`tests/unit/wire/golden_specs.json` pins that.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from stackfile import digest

_ALWAYS = frozenset({"spec_version"})
_PLAIN = frozenset({str, int, bool, float, bytes, type(None)})
_NEVER = object()
"""Equal to nothing: the default of a field that has none, or that is always written."""

_tables: dict[type[object], tuple[tuple[str, object], ...]] = {}


def compact(value: object) -> Any:
    """Plain data of `value` without the fields that equal their default."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if rows := _rows(value):
        return _compact_fields(value, rows)
    if isinstance(value, dict):
        return {str(key): compact(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [compact(item) for item in value]
    return value


def canonical(value: object) -> bytes:
    """Canonical JSON of `value`: what is hashed and compared."""
    return digest.canonical(compact(value))


def spec_hash(value: object) -> str:
    """`sha256:…` of the canonical form. Holds no secret's content: specs know contents by HMAC alone."""
    return digest.sha256(canonical(value))


def _compact_fields(value: object, rows: tuple[tuple[str, object], ...]) -> dict[str, Any]:
    result = {}
    for name, default in rows:
        item = getattr(value, name)
        if item is not default and item != default:
            result[name] = compact(item)
    return result


def _rows(value: object) -> tuple[tuple[str, object], ...]:
    """(name, default) of the fields of a dataclass; nothing for another type."""
    kind = type(value)
    rows = _tables.get(kind)
    if rows is None:
        known = fields(kind) if is_dataclass(kind) else ()
        rows = tuple((row.name, _default(row.name, row.default, row.default_factory)) for row in known)
        _tables[kind] = rows
    return rows


def _default(name: str, default: object, factory: Any) -> object:
    if name in _ALWAYS:
        return _NEVER
    if default is not MISSING:
        return default
    return factory() if factory is not MISSING else _NEVER
