"""A small HTTP server that a test scripts: a function from request to answer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, list[str]]
    body: bytes = b""


@dataclass
class Answer:
    """`length` lies about the size of the body where it is given: the connection breaks then."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Server:
    host: str
    seen: list[Request] = field(default_factory=list)


@contextlib.contextmanager
def serve(answer: Callable[[Request], Answer]) -> Iterator[Server]:
    """On a free port of 127.0.0.1."""
    made = Server("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, parts.path, dict(self.headers), parse_qs(parts.query), body)
            made.seen.append(request)
            found = answer(request)
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found.body) if found.length is None else found.length))
            self.end_headers()
            self.wfile.write(found.body)
            self.close_connection = found.length is not None

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that speaks TLS, or went away."""

    server = Quiet(("127.0.0.1", 0), Handler)
    made.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
