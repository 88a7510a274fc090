import json

import pytest

from stackfile.daemon.faults import response_of
from stackfile.errors import (
    ActionError,
    ConflictError,
    EngineError,
    ErrorList,
    NotFoundError,
    Place,
    RefusedError,
    StackError,
    StackfileError,
)
from stackfile.wire import error_from_plain


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("container", "x"), 404),
        (NotFoundError("image", "x", reason="image-not-found"), 404),
        (ConflictError("name-taken", "taken"), 409),
        (ConflictError("not-running", "stopped"), 409),
        (ActionError("command-not-found", "no such"), 400),
        (ActionError("bad-request", "bad"), 400),
        (ActionError("port-taken", "taken"), 500),
        (StackError("unknown-key", "bad"), 400),
        (ErrorList([StackError("unknown-key", "bad"), StackError("bad-type", "bad")]), 400),
        (RefusedError("needs-yes", "no"), 409),
        (EngineError("engine-locked", "no"), 503),
    ],
)
def test_status_by_reason(error: StackfileError, status: int) -> None:
    response = response_of(error)
    assert response.status == status
    assert isinstance(response.body, bytes)
    body = json.loads(response.body)
    assert error_from_plain(body["error"]).reason == error.reason


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("container", "No such container: x"),
        ("image", "No such image: x"),
        ("exec", "No such exec instance: x"),
        ("network", "network x not found"),
        ("volume", "get x: no such volume"),
    ],
)
def test_dockers_words_for_what_is_missing(kind: str, text: str) -> None:
    body = response_of(NotFoundError(kind, "x")).body
    assert isinstance(body, bytes)
    assert json.loads(body)["message"] == text


def test_not_modified_has_no_body() -> None:
    response = response_of(ActionError("not-modified", "same"))
    assert (response.status, response.body) == (304, None)


def test_what_is_not_ours_shows_no_traceback() -> None:
    response = response_of(ZeroDivisionError("secret detail"))
    assert response.status == 500
    assert isinstance(response.body, bytes)
    assert "internal error" in json.loads(response.body)["message"]
    assert b"Traceback" not in response.body


def test_places_survive_the_way() -> None:
    error = StackError("unknown-key", "bad", at=Place("stack.yaml", 3, 5), hint="drop it")
    body = response_of(error).body
    assert isinstance(body, bytes)
    back = error_from_plain(json.loads(body)["error"])
    assert (back.at, back.hint, type(back)) == (error.at, "drop it", StackError)
