"""kill -9 of the daemon while requests flow and logs are written: nothing stops, nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import closing

import pytest

from stackfile.api import connect
from stackfile.errors import StackfileError
from stackfile.supervisor.client import Supervisor
from tests.conftest import Box
from tests.integration import quickstart

pytestmark = pytest.mark.root

STACK = """
images:
  python:
    from: scratch
    steps:
      - host: {programs: [sh, python3]}
services:
  web:
    image: python
    command:
      - python3
      - -c
      - |
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        import socket
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = socket.gethostbyname("writer").encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *args): pass
        ThreadingHTTPServer(("", 80), Handler).serve_forever()
    ports: ["%d:80"]
    healthcheck: {test: [CMD, python3, -c, "import socket; socket.create_connection(('127.0.0.1', 80))"], interval: 2s}
  writer:
    image: python
    command:
      - python3
      - -uc
      - |
        import time
        for number in range(6000):
            print(f"line {number}")
            time.sleep(0.001)
        time.sleep(600)
"""


def daemon_pid(box: Box) -> int:
    with closing(Supervisor(f"{box.settings.run}/supervisor.sock")) as supervisor:
        return supervisor.status()["daemon"].pid


def test_kill_the_daemon_under_load(box: Box) -> None:
    port = quickstart.free_port()
    box.stack(STACK % port)
    box.run("up")
    failures: list[str] = []
    requests = 0
    stop = threading.Event()

    def ask() -> None:
        nonlocal requests
        while not stop.wait(0.05):
            try:
                assert quickstart.get(port, host="127.0.0.1").count(".") == 3
                requests += 1
            except Exception as error:
                failures.append(repr(error))

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for _ in range(3):
            pid = daemon_pid(box)
            os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not back(box, pid):
                time.sleep(0.05)
            assert back(box, pid), "the daemon is back without a command"
        rows = {row["name"]: row for row in box.containers()}
        assert {row["state"] for row in rows.values()} == {"running"}
        assert rows[f"{box.directory.name}-web-1"]["health"] == "healthy"
        lines = wait_for_lines(box, 6000)
        assert lines == [f"line {number}" for number in range(6000)]
    finally:
        stop.set()
        asker.join()
    assert not failures, failures[:3]
    assert requests > 50


def back(box: Box, old: int) -> bool:
    """Whether another daemon runs below the supervisor and answers."""
    try:
        pid = daemon_pid(box)
        with closing(connect(f"unix://{box.settings.socket}", start=False)) as client:
            return client.ping().pid == pid != old
    except (StackfileError, OSError, KeyError):
        return False


def wait_for_lines(box: Box, count: int) -> list[str]:
    deadline = time.monotonic() + 30
    while True:
        lines = box.run("logs", "--no-log-prefix", "writer").stdout.splitlines()
        if len(lines) >= count or time.monotonic() > deadline:
            return lines
        time.sleep(0.5)
