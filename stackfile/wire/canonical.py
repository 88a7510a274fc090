"""The canonical form of a dataclass: defaults left out at every depth, keys sorted.

A new field of the model with a default therefore leaves the hash of everything that does not use it as it was;
`tests/unit/wire/golden_specs.json` pins that.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from stackfile import digest

_ALWAYS = frozenset({"spec_version"})


def compact(value: object) -> Any:
    """Plain data of `value` without the fields that equal their default."""
    if is_dataclass(value) and not isinstance(value, type):
        return _compact_fields(value)
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


def _compact_fields(value: Any) -> dict[str, Any]:
    result = {}
    for row in fields(value):
        item = getattr(value, row.name)
        if row.name in _ALWAYS or not _is_default(row, item):
            result[row.name] = compact(item)
    return result


def _is_default(row: Field[Any], item: object) -> bool:
    if row.default is not MISSING:
        return bool(item == row.default)
    return row.default_factory is not MISSING and bool(item == row.default_factory())
