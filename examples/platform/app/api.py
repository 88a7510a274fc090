"""A team's API: counts the visit in the shared store, and says who answered."""

import json
import os
import socket
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SHARD = json.loads(Path("/etc/shard.json").read_text())
USER = os.environ["ACCOUNT"].partition(":")[0]


def visits() -> str:
    """How many there are now, this one included."""
    with urllib.request.urlopen(os.environ["STORE"], data=b"", timeout=5) as response:
        return str(response.read().decode())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        where = f"{USER}, shard {SHARD['shard'] + 1} of {SHARD['of']} on {socket.gethostname()}"
        data = f"{os.environ['BANNER']}: {where}, visit {visits()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
