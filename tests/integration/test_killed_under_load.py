"""kill -9 of each of the engine's processes under load, and no command afterwards: nothing stops, nothing is lost.

The supervisor stands still while its children are dead, so that what has to happen in that moment happens in it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from stackfile.api import connect
from stackfile.kernel.process import is_alive, start_time
from stackfile.runtime.logs import Query, read_logs
from tests.conftest import Box
from tests.integration import quickstart
from tests.integration.processes import back, pids, until

pytestmark = pytest.mark.root

VICTIMS = (("shim",), ("daemon",), ("shim", "daemon"), ("resolver",), ("supervisor",))
STACK = """
name: load
images:
  python:
    from: scratch
    steps:
      - host: {programs: [sh, stty, python3]}
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
    stop_signal: SIGKILL
    healthcheck: {test: [CMD, python3, -c, "import socket; socket.create_connection(('127.0.0.1', 80))"], interval: 2s}
  writer:
    image: python
    command:
      - python3
      - -uc
      - |
        import os, signal, time
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
        start, number = time.monotonic(), 0
        while not stop:
            while number < (time.monotonic() - start) * 1000:
                os.write(1, b"line %%d\\n" %% number)
                number += 1
            time.sleep(0.001)
        os.write(1, b"all %%d\\n" %% number)
  terminal: {image: python, tty: true, stdin_open: true, command: [sh], stop_signal: SIGKILL}
  always:
    image: python
    restart: always
    command: [python3, -uc, "print('started'); import signal; signal.pause()"]
    init: true
    stop_signal: SIGKILL
"""
for _number in range(len(VICTIMS)):
    STACK += f"""
  last-{_number}:
    image: python
    command:
      - python3
      - -uc
      - "import signal, os; signal.signal(signal.SIGUSR1, lambda *_: os._exit(42)); print('up'); signal.pause()"
"""


class Asker:
    """Twenty requests a second, each of which makes the service look up another service's name."""

    def __init__(self, port: int) -> None:
        self.failures: list[str] = []
        self.answered = 0
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            try:
                assert quickstart.get(self._port, host="127.0.0.1").count(".") == 3
                self.answered += 1
            except Exception as error:
                self.failures.append(repr(error))

    @contextmanager
    def asking(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()


def output(box: Box, identity: str) -> list[str]:
    """What a container has logged, read from its files: no command that could have mended anything."""
    chunks = read_logs(f"{box.settings.root}/containers/{identity}/logs", Query())
    return b"".join(chunk.data for chunk in chunks).decode().splitlines()


def states(box: Box) -> dict[str, dict[str, Any]]:
    return {row["service"]: row for row in box.containers()}


def typed(box: Box, identity: str, word: str) -> None:
    """Type a line into the terminal of a container and wait for the answer; the size is as it was set."""
    with closing(connect(f"unix://{box.settings.socket}", start=False)) as client:
        client.resize(identity, 33, 111)
        with client.attach(identity, stdin=True) as stream:
            stream.send(f"echo {word}-$((40+2)) $(stty size)\n".encode())
            until(lambda: any(f"{word}-42 33 111" in line for line in output(box, identity)), "an answer", box)


def test_kill_each_under_load(box: Box) -> None:
    port = quickstart.free_port()
    box.stack(STACK % port)
    box.run("up")
    before = states(box)
    asker = Asker(port)
    with asker.asking():
        for number, victims in enumerate(VICTIMS):
            _kill(box, victims, before[f"last-{number}"], before["always"]["id"])
            typed(box, before["terminal"]["id"], f"after{number}")
        after = states(box)
        for name in ("web", "writer", "terminal"):
            assert (after[name]["state"], after[name]["pid"]) == ("running", before[name]["pid"]), name
        assert after["web"]["health"] == "healthy"
    box.run("stop", "writer")
    assert not asker.failures, asker.failures[:3]
    assert asker.answered > 50
    lines = output(box, before["writer"]["id"])
    assert lines == [f"line {number}" for number in range(len(lines) - 1)] + [f"all {len(lines) - 1}"]


def _kill(box: Box, victims: tuple[str, ...], last: dict[str, Any], always: str) -> None:
    """Kill, have one container exit with 42 and one that starts again end in that moment, and wait for both."""
    old = pids(box)
    starts = output(box, always).count("started")
    until(lambda: "up" in output(box, last["id"]), "its handler", box)
    if victims == ("supervisor",):
        _start_by_present_shim(box, last)
    ending = until(lambda: _pid(box, last["service"]), "the one that ends", box)
    running = until(lambda: _pid(box, "always"), "the one that starts again", box)
    if "supervisor" not in victims:
        os.kill(old["supervisor"], signal.SIGSTOP)
    try:
        for name in victims:
            os.kill(old[name], signal.SIGKILL)
        ends = {pid: start_time(pid) for pid in (ending, running)}
        os.kill(ending, signal.SIGUSR1)
        os.kill(running, signal.SIGKILL)
        until(lambda: not any(is_alive(pid, started) for pid, started in ends.items()), f"ends: {victims}", box)
    finally:
        if "supervisor" not in victims:
            os.kill(old["supervisor"], signal.SIGCONT)
    killed = time.monotonic()
    until(lambda: output(box, always).count("started") > starts, f"a restart: {victims}", box)
    assert time.monotonic() - killed < 10
    until(lambda: back(box, old, victims), f"{victims} are back without a command", box)
    state = until(lambda: (row := states(box)[last["service"]])["state"] == "exited" and row, "an end", box)
    assert state["exit_code"] == 42, (victims, state)
    # The others have lived through it.
    assert {name for name, pid in pids(box).items() if pid != old[name]} == set(victims)


def _pid(box: Box, service: str) -> int:
    row = states(box)[service]
    return row["pid"] if row["state"] == "running" else 0


def _start_by_present_shim(box: Box, last: dict[str, Any]) -> None:
    """Only the children of a shim that lives have an end that every kernel tells when the supervisor dies."""
    with closing(connect(f"unix://{box.settings.socket}", start=False)) as client:
        client.restart(last["id"], timeout=0)
    until(lambda: output(box, last["id"]).count("up") == 2, "its handler", box)
