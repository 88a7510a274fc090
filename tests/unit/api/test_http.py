"""The transport against a small HTTP server of the test's own."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from stackfile import wire
from stackfile.api import http
from stackfile.api.http import Address, Transport, error_of, parse_address, path_of
from stackfile.errors import ActionError, ConflictError, EngineError, Place, StackError, StackfileError, UsageError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/x.sock", Address(path="/run/x.sock")),
        ("unix:///run/x.sock", Address(path="/run/x.sock")),
        ("http://host:80", Address(host="host", port=80)),
        ("tcp://[::1]:2375", Address(host="::1", port=2375)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:80", "ssh://host", "http://host", "tcp://host:x", "unix://"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert caught.value.reason == "bad-setting"


def test_targets_are_quoted_and_leave_out_what_is_none() -> None:
    assert path_of("a", "b/c d", x=True, y=None, z="é") == "/a/b%2Fc%20d?x=1&z=%C3%A9"
    assert path_of("a", x=None) == "/a"


def test_our_errors_come_back_as_they_were_raised() -> None:
    error = StackError("unknown-key", "bad", at=Place("f", 1, 2))
    body = json.dumps({"message": "bad", "error": wire.error_to_plain(error)}).encode()
    back = error_of(400, body)
    assert (type(back), back.reason, back.at) == (StackError, "unknown-key", error.at)


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (404, b'{"message":"No such container: x"}', ActionError, "not-found"),
        (409, b'{"message":"conflict"}', ConflictError, "conflict"),
        (400, b'{"message":"bad"}', ActionError, "bad-request"),
        (500, b'{"message":"boom"}', ActionError, "action-failed"),
        (502, b"<html>", ActionError, "action-failed"),
        (500, b"[]", ActionError, "action-failed"),
    ],
)
def test_other_errors(status: int, body: bytes, kind: type[StackfileError], reason: str) -> None:
    error = error_of(status, body)
    assert (type(error), error.reason) == (kind, reason)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self) -> None:
        Handler.connections += 1
        super().setup()

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/silent":
            threading.Event().wait(0.5)
            return
        if self.path == "/slow":
            threading.Event().wait(0.3)
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"short")
            self.close_connection = True
            return
        if self.path == "/lines":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"one\ntw", b"o\n\nthree\n"):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
            return
        body = b'{"message":"no"}' if self.path == "/missing" else b"{}"
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    Handler.connections = 0
    with Server(str(tmp_path / "s"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        made = Transport(Address(path=str(tmp_path / "s")))
        yield made
        made.close()
        server.shutdown()
        thread.join()


def test_a_connection_is_used_again_also_after_an_error(transport: Transport) -> None:
    for _ in range(3):
        transport.json("GET", "/x")
        with pytest.raises(ActionError):
            transport.json("GET", "/missing")
    assert Handler.connections == 1


def test_a_stream_that_is_read_to_its_end_gives_its_connection_back(transport: Transport) -> None:
    for _ in range(2):
        with transport.request("GET", "/lines") as answer:
            assert list(answer.lines()) == [b"one", b"two", b"three"]
    assert Handler.connections == 1


def test_a_stream_that_is_dropped_closes_its_connection(transport: Transport) -> None:
    with transport.request("GET", "/lines") as answer:
        next(answer.lines())
    transport.json("GET", "/x")
    assert Handler.connections == 2


def test_a_time_out_says_what_was_waited_for(transport: Transport) -> None:
    with pytest.raises(ActionError) as caught:
        transport.json("GET", "/silent", timeout=0.05, what="a word")
    assert caught.value.reason == "timeout"
    assert "a word" in caught.value.message


def test_a_daemon_that_is_slow_is_waited_for(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SILENCE", 0.1)
    assert transport.json("GET", "/slow", timeout=None) == b"{}"
    assert Handler.connections > 1


def test_a_daemon_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SILENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        deaf.listen()
        transport = Transport(Address(path=str(tmp_path / "deaf")))
        transport.why = lambda: ("a cause", "a way out")
        with pytest.raises(EngineError) as caught:
            transport.json("GET", "/x", timeout=None, what="a word")
    assert (caught.value.reason, caught.value.cause, caught.value.hint) == (
        "engine-unreachable", "a cause", "a way out",
    )  # fmt: skip
    assert "a word" in caught.value.message


def test_a_connection_that_ends_early_is_an_engine_error(transport: Transport) -> None:
    with pytest.raises(EngineError) as caught, transport.request("GET", "/cut") as answer:
        answer.read()
    assert caught.value.reason == "engine-unreachable"


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        Transport(Address(path=str(tmp_path / "nothing"))).json("GET", "/x")
    assert caught.value.reason == "engine-unreachable"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    with pytest.raises(EngineError) as caught:
        Transport(Address(path=str(tmp_path / "stale"))).json("GET", "/x")
    assert caught.value.reason == "engine-unreachable"
