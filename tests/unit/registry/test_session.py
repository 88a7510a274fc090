"""Authentication, redirects and retries, against a server that does what registries do."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from stackfile.errors import ActionError
from stackfile.model.image import RegistryAuth
from stackfile.registry.endpoint import Policy
from stackfile.registry.session import ATTEMPTS, Session
from tests.unit.registry.kit import Answer, Request, Server, serve

ME = RegistryAuth(username="me", password="word")
BASIC = "Basic " + base64.b64encode(b"me:word").decode()
SCOPE = "repository:x:pull"


@contextmanager
def session(server: Server, auth: RegistryAuth = RegistryAuth()) -> Iterator[Session]:  # noqa: B008
    made = Session(server.host, Policy(), auth, sleep=lambda _: None)
    with closing(made):
        yield made


def get(made: Session, path: str = "/v2/x") -> tuple[int, bytes]:
    with made.get(path, scope=SCOPE) as response:
        return response.status_code, response.content


def test_no_credentials_where_none_are_asked_for() -> None:
    with serve(lambda request: Answer(body=b"open")) as server, session(server, ME) as made:
        assert get(made) == (200, b"open")
        assert "Authorization" not in server.seen[-1].headers


def test_basic() -> None:
    def answer(request: Request) -> Answer:
        if request.headers.get("Authorization") == BASIC:
            return Answer(body=b"in")
        return Answer(401, headers={"WWW-Authenticate": 'Basic realm="r"'})

    with serve(answer) as server:
        with session(server, ME) as made:
            assert get(made) == (200, b"in")
            assert get(made) == (200, b"in")
            assert len(server.seen) == 3, "the second request needs no challenge"
        for auth in (RegistryAuth(), RegistryAuth(username="me", password="wrong")):
            with session(server, auth) as made, pytest.raises(ActionError) as caught:
                get(made)
            assert caught.value.reason == "registry-denied"
            assert "wrong" not in f"{caught.value} {caught.value.cause} {caught.value.hint}"


@pytest.mark.parametrize("key", ["token", "access_token"])
def test_bearer(key: str) -> None:
    def answer(request: Request) -> Answer:
        if request.path == "/token":
            good = request.headers.get("Authorization") == BASIC and request.query["scope"] == [SCOPE]
            return Answer(body=f'{{"{key}": "abc"}}'.encode()) if good else Answer(401)
        if request.headers.get("Authorization") == "Bearer abc":
            return Answer(body=b"in")
        header = f'Bearer realm="http://{server.host}/token",service="s",scope="repository:other:pull"'
        return Answer(401, headers={"WWW-Authenticate": header})

    with serve(answer) as server:
        with session(server, ME) as made:
            assert get(made) == (200, b"in")
            get(made)
        assert [request.path for request in server.seen].count("/token") == 1
        with session(server) as made, pytest.raises(ActionError) as caught:
            get(made)
        assert caught.value.reason == "registry-denied"


def test_an_identity_token_is_a_refresh_token() -> None:
    def answer(request: Request) -> Answer:
        if request.path == "/token":
            assert request.method == "POST"
            assert b"grant_type=refresh_token" in request.body
            assert b"refresh_token=identity" in request.body
            return Answer(body=b'{"access_token": "abc"}')
        if request.headers.get("Authorization") == "Bearer abc":
            return Answer(body=b"in")
        return Answer(401, headers={"WWW-Authenticate": f'Bearer realm="http://{server.host}/token"'})

    with serve(answer) as server, session(server, RegistryAuth(identity_token="identity")) as made:
        assert get(made) == (200, b"in")


def test_an_expired_token_is_replaced() -> None:
    tokens = iter(("first", "second"))
    valid = ["first"]

    def answer(request: Request) -> Answer:
        if request.path == "/token":
            return Answer(body=f'{{"token": "{next(tokens)}"}}'.encode())
        if request.headers.get("Authorization") == f"Bearer {valid[0]}":
            return Answer(body=b"in")
        return Answer(401, headers={"WWW-Authenticate": f'Bearer realm="http://{server.host}/token"'})

    with serve(answer) as server, session(server) as made:
        get(made)
        valid[0] = "second"
        assert get(made) == (200, b"in")


def test_a_token_service_without_tls_elsewhere_gets_no_password() -> None:
    header = 'Bearer realm="http://192.0.2.1/token"'
    with (
        serve(lambda _: Answer(401, headers={"WWW-Authenticate": header})) as server,
        session(server, ME) as made,
        pytest.raises(ActionError) as caught,
    ):
        get(made)
    assert caught.value.reason == "registry-denied"


def test_a_redirect_to_another_host_takes_no_authorization_along() -> None:
    with serve(lambda request: Answer(body=b"blob")) as other:

        def answer(request: Request) -> Answer:
            if request.headers.get("Authorization") != BASIC:
                return Answer(401, headers={"WWW-Authenticate": "Basic"})
            if request.path == "/v2/here":
                return Answer(307, headers={"Location": "/v2/there"})
            if request.path == "/v2/there":
                return Answer(body=b"same host")
            return Answer(307, headers={"Location": f"http://{other.host}/blob?signature=1"})

        with serve(answer) as server, session(server, ME) as made:
            assert get(made, "/v2/x") == (200, b"blob")
            assert "Authorization" not in other.seen[-1].headers
            assert get(made, "/v2/here") == (200, b"same host")


def test_a_redirect_away_from_tls_or_without_end_is_refused() -> None:
    with (
        serve(lambda _: Answer(302, headers={"Location": "http://192.0.2.1/blob"})) as server,
        session(server) as made,
        pytest.raises(ActionError) as caught,
    ):
        get(made)
    assert caught.value.reason == "pull-failed"
    with (
        serve(lambda _: Answer(302, headers={"Location": "/v2/x"})) as server,
        session(server) as made,
        pytest.raises(ActionError) as caught,
    ):
        get(made)
    assert caught.value.reason == "pull-failed"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    answers = [Answer(status, headers={"Retry-After": "1"}), Answer(status), Answer(body=b"at last")]
    with serve(lambda _: answers.pop(0)) as server, session(server) as made:
        assert get(made) == (200, b"at last")


def test_what_does_not_pass_ends() -> None:
    with serve(lambda _: Answer(503)) as server, session(server) as made:
        with pytest.raises(ActionError) as caught:
            get(made)
        assert caught.value.reason == "pull-failed"
        assert len(server.seen) == ATTEMPTS
    with session(server) as made, pytest.raises(ActionError) as caught:
        get(made)
    assert caught.value.reason == "registry-unreachable"


def test_other_answers_are_the_callers_business() -> None:
    with serve(lambda _: Answer(404, b"no")) as server, session(server) as made:
        assert get(made) == (404, b"no")


def test_a_stopped_session_asks_nothing_more() -> None:
    stop = threading.Event()
    with serve(lambda _: Answer()) as server:
        made = Session(server.host, Policy(), RegistryAuth(), stop=stop)
        get(made)
        stop.set()
        with closing(made), pytest.raises(ActionError) as caught:
            get(made)
    assert caught.value.reason == "cancelled"
