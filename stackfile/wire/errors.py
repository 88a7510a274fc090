"""Errors as JSON: the same object on both sides of a process border."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile import errors
from stackfile.errors import REASONS, ErrorList, Place, StackfileError
from stackfile.refusals import understood

_KINDS: dict[str, type[StackfileError]] = {
    kind.__name__: kind
    for kind in (
        errors.StackfileError,
        errors.UsageError,
        errors.StackError,
        errors.EngineError,
        errors.RefusedError,
        errors.ActionError,
        errors.NotFoundError,
        errors.ConflictError,
        errors.KernelError,
    )
}


def error_to_plain(error: BaseException) -> dict[str, Any]:
    """`error` as plain data. What is not one of ours becomes what `refusals.understood` makes of it."""
    error = understood(error)
    plain: dict[str, Any] = {
        "type": type(error).__name__,
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "at": _place_to_plain(error.at),
        "cause": error.cause,
        "hint": error.hint,
        "exit": error.exit_code,
        "stack": [_place_to_plain(place) for place in error.stack],
        "details": error.details,
    }
    if isinstance(error, ErrorList):
        plain["errors"] = [error_to_plain(item) for item in error.errors]
    if isinstance(error, errors.KernelError):
        plain["errno"] = error.errno
    return plain


def error_from_plain(plain: Mapping[str, Any]) -> StackfileError:
    """The error that `plain` says, of the same class. A reason that is not known here becomes `action-failed`."""
    if plain.get("errors"):
        return ErrorList(error_from_plain(item) for item in plain["errors"])
    reason = str(plain.get("reason", ""))
    kind = _KINDS.get(str(plain.get("type", "")), errors.ActionError)
    # The constructors of the subclasses compose a message; here it exists already.
    error = kind.__new__(kind)
    StackfileError.__init__(
        error,
        reason if reason in REASONS else "action-failed",
        str(plain.get("message", "")),
        at=_place_from_plain(plain.get("at")),
        cause=str(plain.get("cause", "")),
        hint=str(plain.get("hint", "")),
        stack=[place for item in plain.get("stack", ()) if (place := _place_from_plain(item)) is not None],
        details=dict(plain.get("details") or {}),
    )
    if isinstance(error, errors.KernelError):
        error.errno = int(plain.get("errno", 0))
    return error


def _place_to_plain(place: Place | None) -> dict[str, Any] | None:
    return {"file": place.file, "line": place.line, "column": place.column} if place else None


def _place_from_plain(plain: Any) -> Place | None:
    if not isinstance(plain, Mapping):
        return None
    return Place(str(plain.get("file", "")), int(plain.get("line", 0)), int(plain.get("column", 0)))
