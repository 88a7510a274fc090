"""Counts visits by team: POST /TEAM adds one, GET /TEAM says how many. Kept in /data."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATA = Path("/data")
lock = threading.Lock()


def count(team: str, more: int) -> int:
    """The visits of a team, after `more` of them."""
    path = DATA / team
    with lock:
        visits = (int(path.read_text()) if path.exists() else 0) + more
        if more:
            path.write_text(str(visits))
    return visits


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(0)

    def do_POST(self) -> None:
        self.answer(1)

    def answer(self, more: int) -> None:
        team = self.path.strip("/")
        known = team.replace("-", "").isalnum()
        data = str(count(team, more) if known else 0).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer(("", 9000), Handler).serve_forever()
