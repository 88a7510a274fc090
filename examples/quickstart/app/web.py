"""The web service: greets, and says what the store holds.

Its greeting comes from /etc/web.toml, read again on SIGHUP; which replica answers, from the environment.
"""

import json
import os
import signal
import sys
import tomllib
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = Path("/etc/web.toml")
STORE_URL = os.environ["STORE_URL"]
STORE_TOKEN = os.environ["STORE_TOKEN"]
REPLICA = os.environ["REPLICA"]

config = tomllib.loads(CONFIG.read_text())


def reload(*_: object) -> None:
    """Take the configuration again; the old one stays when the new one is not valid."""
    global config
    try:
        config = tomllib.loads(CONFIG.read_text())
    except tomllib.TOMLDecodeError as error:
        print(f"configuration kept, the new one is not valid: {error}")
        return
    print("configuration read again")


def items() -> int:
    """How many items the store holds."""
    request = urllib.request.Request(f"{STORE_URL}/items", headers={"Authorization": f"Bearer {STORE_TOKEN}"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)["count"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(200, "ok\n")
        elif self.path == "/":
            try:
                held = f"The store holds {items()} items."
            except OSError as error:
                self.answer(502, f"The store does not answer: {error}\n")
                return
            self.answer(200, f"{config['greeting']} from web {REPLICA} in {config['environment']}. {held}\n")
        else:
            self.answer(404, "not found\n")

    def answer(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        print(self.command, self.path, code)


def main() -> None:
    signal.signal(signal.SIGHUP, reload)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"web {REPLICA} on port 8000")
    ThreadingHTTPServer(("", 8000), Handler).serve_forever()


if __name__ == "__main__":
    main()
