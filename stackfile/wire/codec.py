"""Typed JSON of the model's dataclasses, by msgspec.

Decoding is strict in types and lenient in fields: unknown fields are ignored, so that a newer peer may say more.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from stackfile.errors import ActionError

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()


_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    return decoder


def prepare(*kinds: Any) -> None:
    """Make the decoders of these types now: the first use of one costs milliseconds."""
    for kind in kinds:
        _decoder(kind)


def encode(value: object) -> bytes:
    """JSON of a dataclass of the model (or of plain data that holds some)."""
    return _ENCODER.encode(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """The `kind` that `data` says. Raises ActionError (`bad-request`) that names the path of what is wrong."""
    try:
        value: T = _decoder(kind).decode(data)
    except msgspec.DecodeError as error:
        raise _bad_request(kind, error) from error
    return value


def to_plain(value: object) -> Any:
    """Dictionaries, lists, text and numbers that say the same as `encode`."""
    # By way of JSON: to_builtins would leave tuples as they are.
    return msgspec.json.decode(_ENCODER.encode(value))


def from_plain(value: object, kind: type[T]) -> T:
    """The `kind` that plain data says. Raises ActionError (`bad-request`)."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _bad_request(kind, error) from error


def _bad_request(kind: Any, error: Exception) -> ActionError:
    name = getattr(kind, "__name__", str(kind))
    return ActionError("bad-request", f"not a valid {name}", cause=str(error))
