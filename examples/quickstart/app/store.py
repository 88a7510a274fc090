"""The store: items in SQLite behind a small HTTP interface, for those who know the token.

GET  /healthz   200 when the database answers
GET  /items     {"count": n, "latest": [...]}
POST /items     {"kind": "...", "text": "..."}
"""

import json
import signal
import sqlite3
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATABASE = "/data/store.db"
TOKEN = Path("/run/secrets/store_token").read_text().strip()


def connect() -> sqlite3.Connection:
    """A connection of the calling thread; SQLite waits up to 5 s for another's write."""
    return sqlite3.connect(DATABASE, timeout=5, isolation_level=None)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/healthz":
            with closing(connect()) as db:
                db.execute("SELECT 1 FROM items LIMIT 1")
            self.answer(200, {"status": "ok"})
        elif self.path == "/items" and self.authorised():
            with closing(connect()) as db:
                (count,) = db.execute("SELECT count(*) FROM items").fetchone()
                latest = db.execute("SELECT kind, text FROM items ORDER BY id DESC LIMIT 5").fetchall()
            self.answer(200, {"count": count, "latest": latest})
        else:
            self.answer(404, {"error": "not found"})

    def do_POST(self) -> None:
        if self.path != "/items" or not self.authorised():
            self.answer(404, {"error": "not found"})
            return
        item = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with closing(connect()) as db:
            db.execute("INSERT INTO items (kind, text) VALUES (?, ?)", (item["kind"], item["text"]))
            (count,) = db.execute("SELECT count(*) FROM items").fetchone()
        print(f"{count} items")
        self.answer(201, {"count": count})

    def authorised(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Nothing: the store reports its items, not its requests."""


def main() -> None:
    with closing(connect()) as db:
        db.execute("CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, kind TEXT, text TEXT)")
        (count,) = db.execute("SELECT count(*) FROM items").fetchone()
    print(f"store on port 9000 with {count} items")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", 9000), Handler).serve_forever()


if __name__ == "__main__":
    main()
