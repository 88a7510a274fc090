"""JSON of the instructions' dataclasses, without imports that the shim would have to carry.

Bytes are base64. Text that is not UTF-8 survives as lone surrogates (`surrogateescape`), which JSON escapes keep.
"""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from typing import Any, TypeVar

from stackfile.runtime import instructions as types

T = TypeVar("T")

_NESTED: dict[str, type] = {
    name: getattr(types, name)
    for name in (
        "Root", "BindMount", "TmpfsMount", "Device", "Rlimit", "CgroupHandle", "Account", "Logs", "Security", "Process",
    )
}  # fmt: skip


def encode(value: Any) -> bytes:
    """JSON of an instructions object."""
    return json.dumps(_plain(value), separators=(",", ":")).encode()


def decode(data: bytes, kind: type[T]) -> T:
    """The object that `encode` wrote. Raises ValueError, KeyError or TypeError for anything else."""
    return _build(json.loads(data), kind)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


def _build(plain: dict[str, Any], kind: type[T]) -> T:
    known = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: _value(item, known[name]) for name, item in plain.items() if name in known})


def _value(item: Any, annotation: str) -> Any:
    if annotation == "bytes":
        return base64.b64decode(item)
    if annotation in _NESTED:
        return _build(item, _NESTED[annotation])
    if isinstance(item, list):
        inner = annotation.removeprefix("tuple[").split(",")[0]
        nested = _NESTED.get(inner)
        return tuple(_build(each, nested) if nested else _frozen(each) for each in item)
    return item


def _frozen(item: Any) -> Any:
    return tuple(_frozen(each) for each in item) if isinstance(item, list) else item
