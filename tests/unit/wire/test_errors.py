"""Errors on both sides of a process border."""

from __future__ import annotations

import json

import pytest

from stackfile import wire
from stackfile.errors import (
    REASONS,
    ActionError,
    ConflictError,
    EngineError,
    ErrorList,
    KernelError,
    NotFoundError,
    Place,
    RefusedError,
    StackError,
    StackfileError,
    UsageError,
)

ERRORS: list[StackfileError] = [
    UsageError("usage", "wrong"),
    StackError("bad-type", "not a number", at=Place("stack.yaml", 3, 7), stack=[Place("base.yaml", 1, 1)]),
    EngineError("not-permitted", "needs root", hint="sudo stackfile up"),
    RefusedError("needs-yes", "data would be lost"),
    ActionError("unhealthy", "web is unhealthy", cause="connection refused", details={"exit_code": 1}),
    NotFoundError("container", "web"),
    ConflictError("name-taken", "taken"),
    KernelError(2, "mount", "/proc"),
]


def there_and_back(error: BaseException) -> StackfileError:
    return wire.error_from_plain(json.loads(json.dumps(wire.error_to_plain(error))))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_keeps_class_and_all_it_says(error: StackfileError) -> None:
    found = there_and_back(error)
    assert type(found) is type(error)
    assert wire.error_to_plain(found) == wire.error_to_plain(error)
    assert (found.at, found.stack, str(found)) == (error.at, error.stack, str(error))


def test_an_error_list_keeps_its_members() -> None:
    first = StackError("bad-type", "a", at=Place("f", 1, 1))
    found = there_and_back(ErrorList([StackError("unknown-key", "b", at=Place("f", 2, 1)), first]))
    assert isinstance(found, ErrorList)
    assert [(item.reason, item.at) for item in found.errors] == [
        ("bad-type", Place("f", 1, 1)),
        ("unknown-key", Place("f", 2, 1)),
    ]


def test_errno_survives() -> None:
    found = there_and_back(KernelError(13, "open", "/x"))
    assert isinstance(found, KernelError)
    assert found.errno == 13


def test_what_is_not_ours_is_internal() -> None:
    found = there_and_back(ValueError("x"))
    assert (found.reason, found.exit_code) == ("internal", 1)


def test_a_reason_of_a_newer_peer_is_a_failed_action() -> None:
    found = wire.error_from_plain({"reason": "of-tomorrow", "message": "m", "type": "FutureError"})
    assert (type(found), found.reason, found.message) == (ActionError, "action-failed", "m")


def test_code_and_exit_are_of_the_table() -> None:
    for error in ERRORS:
        plain = wire.error_to_plain(error)
        row = REASONS[error.reason]
        assert (plain["code"], plain["exit"]) == (row.code, row.exit)
