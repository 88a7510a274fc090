"""An HTTP proxy in front of a registry that counts, breaks off and holds back: what networks do."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_FORWARDED = ("Accept", "Range", "Authorization")
_RETURNED = ("Content-Type", "Docker-Content-Digest", "Content-Range", "WWW-Authenticate", "Accept-Ranges")


@dataclass
class Proxy:
    """`breaks` maps a digest to how many answers of its blob break off in the middle; `held` has digests whose blobs
    stop in the middle until `gate` is set.
    """

    target: str
    port: int = 0
    breaks: Counter[str] = field(default_factory=Counter)
    held: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    """Set once a held blob has stopped."""
    counts: Counter[str] = field(default_factory=Counter)
    """GETs by the last part of the path."""
    ranges: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextlib.contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """Plain HTTP on a free port of 127.0.0.1, to `target` (host:port)."""
    made = Proxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            made.counts[name] += 1
            if "Range" in self.headers:
                made.ranges.append(self.headers["Range"])
            connection = http.client.HTTPConnection(made.target, timeout=20)
            connection.request("GET", self.path, headers={k: self.headers[k] for k in _FORWARDED if k in self.headers})
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            self.send_response(answer.status)
            for key in _RETURNED:
                if answer.getheader(key):
                    self.send_header(key, answer.getheader(key) or "")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            half = len(data) // 2
            if made.breaks[name] > 0 and half:
                made.breaks[name] -= 1
                self.wfile.write(data[:half])
                self.close_connection = True
                return
            if name in made.held and half:
                self.wfile.write(data[:half])
                self.wfile.flush()
                made.reached.set()
                made.gate.wait(30)
                data = data[half:]
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
