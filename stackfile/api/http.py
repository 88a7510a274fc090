"""HTTP to a daemon: over its Unix socket or TCP, with connections that are used again.

Blocking and without a framework, because a client's start-up is felt at every command. Every wait has a time-out and
names what it waited for.
"""

from __future__ import annotations

import http.client
import json
import math
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote, urlencode, urlsplit

from stackfile import wire
from stackfile.errors import ActionError, ConflictError, EngineError, StackfileError, UsageError

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 60.0
SILENCE = 15.0
"""Seconds without the head of an answer after which it is asked whether the daemon lives, and that it has to say so."""
CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Address:
    """Where a daemon listens: a Unix socket's `path`, or `host` and `port`."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.path or f"http://{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`unix:///path`, `/path`, `http://host:port` or `tcp://host:port`. Raises UsageError (`bad-setting`)."""
    if text.startswith("/"):
        return Address(path=text)
    parts = urlsplit(text)
    if parts.scheme == "unix" and parts.path:
        return Address(path=parts.netloc + parts.path)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme in ("http", "tcp") and parts.hostname and port:
        return Address(host=parts.hostname, port=port)
    raise UsageError(
        "bad-setting",
        f"not an address of a daemon: {text!r}",
        hint="unix:///path/to/socket, /path/to/socket or http://host:port",
    )


class _Response(http.client.HTTPResponse):
    """Knows whether a chunked body has come to its last chunk: `readline` keeps an earlier end to itself."""

    ended = False

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        self.ended = size == 0
        return size


class _UnixConnection(http.client.HTTPConnection):
    """http.client over AF_UNIX."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._path)
        except BaseException:
            self.sock.close()
            self.sock = None
            raise


def path_of(*parts: str, **query: object) -> str:
    """A request target: `parts` quoted and joined by `/`, `query` without what is None; booleans as 0 and 1."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    pairs = {
        name: int(value) if isinstance(value, bool) else value for name, value in query.items() if value is not None
    }
    return f"{path}?{urlencode(pairs)}" if pairs else path


class Answer:
    """A response whose body is still to be read. Use as a context manager: what is not read is dropped."""

    def __init__(self, transport: Transport, connection: http.client.HTTPConnection, what: str) -> None:
        self._transport = transport
        self._connection = connection
        self._what = what
        self._response = connection.getresponse()
        self.status = self._response.status

    def header(self, name: str) -> str:
        return self._response.getheader(name) or ""

    def read(self) -> bytes:
        """The whole body."""
        with self._transport.naming(self._what):
            return self._response.read()

    def lines(self) -> Iterator[bytes]:
        """The lines of a streamed body, without their newlines."""
        with self._transport.naming(self._what):
            while line := self._response.readline():
                if line.strip():
                    yield line.rstrip(b"\n")
            self._require_end()

    def read_exactly(self, size: int) -> bytes:
        """`size` bytes, fewer only where the body ends."""
        with self._transport.naming(self._what):
            data = self._response.read(size)
            if len(data) < size:
                self._require_end()
            return data

    def _require_end(self) -> None:
        """http.client takes the end of the connection for the end of a chunked body; it has a last chunk."""
        if self._response.chunked and not getattr(self._response, "ended", True):
            raise http.client.IncompleteRead(b"")

    def wait_forever(self) -> None:
        """No time-out between the parts of this body: it is a stream that may be silent."""
        if self._connection.sock is not None:
            self._connection.sock.settimeout(None)

    def take_socket(self) -> tuple[socket.socket, Any]:
        """The connection itself, after an upgrade: the socket, and the buffered reader that has read from it."""
        sock, reader = self._connection.sock, self._response.fp
        assert sock is not None
        # A response that is collected closes its reader.
        self._response.fp = None  # type: ignore[assignment]
        return sock, reader

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None and self._response.isclosed() and not self._response.will_close:
            self._transport.give_back(self._connection)
        else:
            self._connection.close()


class Greeting(Protocol):
    """Who answers, found out along with the first request."""

    def asking(self, method: str, target: str) -> Mapping[str, str]:
        """Before it is sent: headers to send along."""
        ...

    def answered(self, server: str) -> bool:
        """Its answer's header `Server`; whether to ask again, since somebody else would answer now."""
        ...


class Transport:
    """Connections to one daemon. A connection that was answered in full is used for the next request."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.greeting: Greeting | None = None
        """Told of the first request and of its answer."""
        self.why: Callable[[], tuple[str, str]] | None = None
        """(Cause, hint) where the daemon does not answer, for the error that says so."""
        self._idle: list[http.client.HTTPConnection] = []

    def request(
        self,
        method: str,
        target: str,
        *,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = ANSWER_TIMEOUT,
        what: str = "",
    ) -> Answer:
        """Send a request and read the answer's head.

        `timeout` (seconds, None for none) counts until the head and between parts of the body; `what` says for a
        person what is waited for. Whatever the time-out, a daemon that hangs is not waited for. Raises what the daemon
        says, EngineError (`engine-unreachable`, `not-permitted`) or ActionError (`timeout`).
        """
        what = what or f"{method} {target.partition('?')[0]}"
        greeting, self.greeting = self.greeting, None
        headers = dict(headers or {})
        if greeting is not None:
            headers |= greeting.asking(method, target)
        connection = self._connection()
        try:
            with self.naming(what):
                assert connection.sock is not None
                connection.sock.settimeout(timeout)
                connection.request(method, target, body=body, headers=headers)
                self._await_head(connection.sock, timeout, what)
                answer = Answer(self, connection, what)
        except BaseException:
            connection.close()
            raise
        if greeting is not None:
            try:
                again = greeting.answered(answer.header("Server"))
            except BaseException:
                connection.close()
                raise
            if again:
                connection.close()
                assert body is None or isinstance(body, bytes), "the first request of a client has a short body"
                return self.request(method, target, body=body, headers=headers, timeout=timeout, what=what)
        if answer.status >= 400:
            with answer:
                text = answer.read()
            raise error_of(answer.status, text)
        return answer

    def json(self, method: str, target: str, value: object = None, **options: Any) -> bytes:
        """Request with `value` as JSON body; the answer's body."""
        body = None if value is None else wire.encode(value)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with self.request(method, target, body=body, headers=headers, **options) as answer:
            return answer.read()

    def connect(self) -> None:
        """Make sure that somebody listens. Raises EngineError (`engine-unreachable`, `not-permitted`)."""
        self.give_back(self._connection())

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        self._idle.append(connection)

    def naming(self, what: str) -> _Naming:
        """Turns the socket's errors into ours, which say what was waited for."""
        return _Naming(self.address, what)

    def _await_head(self, sock: socket.socket, timeout: float | None, what: str) -> None:
        """Until there is something to read. Raises TimeoutError; EngineError when the daemon does not live."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        readable = select.poll()
        readable.register(sock, select.POLLIN)
        while not readable.poll(max(min(SILENCE, deadline - time.monotonic()), 0) * 1000):
            if time.monotonic() >= deadline:
                raise TimeoutError
            self._check_alive(what)

    def _check_alive(self, what: str) -> None:
        """Whether the daemon answers anything at all, on a connection of its own."""
        probe = self._fresh()
        try:
            assert probe.sock is not None
            probe.sock.settimeout(SILENCE)
            probe.request("GET", "/_ping")
            probe.getresponse()
        except (OSError, http.client.HTTPException) as error:
            cause, hint = self.why() if self.why else ("", "")
            raise EngineError(
                "engine-unreachable",
                f"the daemon at {self.address} does not answer: {what}",
                cause=cause or f"nothing in {2 * SILENCE:g} s",
                hint=hint,
            ) from error
        finally:
            probe.close()

    def _connection(self) -> http.client.HTTPConnection:
        while self._idle:
            connection = self._idle.pop()
            # Readable while idle means that the daemon closed it.
            if connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        return self._fresh()

    def _fresh(self) -> http.client.HTTPConnection:
        where = self.address
        fresh: http.client.HTTPConnection
        if where.path:
            fresh = _UnixConnection(where.path, CONNECT_TIMEOUT)
        else:
            fresh = http.client.HTTPConnection(where.host, where.port, timeout=CONNECT_TIMEOUT)
        fresh.response_class = _Response
        try:
            fresh.connect()
        except PermissionError as error:
            raise EngineError("not-permitted", f"no permission for {where}", cause=str(error.strerror)) from error
        except OSError as error:
            raise EngineError(
                "engine-unreachable", f"no daemon answers at {where}", cause=str(error.strerror or error)
            ) from error
        return fresh


class _Naming:
    def __init__(self, address: Address, what: str) -> None:
        self._address = address
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, TimeoutError):
            raise ActionError("timeout", f"no answer from {self._address} in time: {self._what}") from error
        if isinstance(error, OSError | http.client.HTTPException):
            raise EngineError(
                "engine-unreachable",
                f"the daemon at {self._address} ended the connection: {self._what}",
                cause=str(error) or type(error).__name__,
            ) from error


def error_of(status: int, body: bytes) -> StackfileError:
    """The error that a response of `status` (400 or above) says: ours as it was raised, or a Docker message."""
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        reason = "not-found" if status == 404 else "action-failed"
        return ActionError(reason, f"HTTP status {status}", cause=body[:200].decode(errors="replace"))
    if isinstance(value.get("error"), dict):
        return wire.error_from_plain(value["error"])
    message = str(value.get("message", f"HTTP status {status}"))
    if status == 409:
        return ConflictError("conflict", message)
    return ActionError({400: "bad-request", 404: "not-found"}.get(status, "action-failed"), message)
