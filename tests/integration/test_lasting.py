"""Commands that wait or follow go on over a daemon that is killed: nothing twice, nothing left out."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import closing
from typing import Any

import pytest

from stackfile.api import connect
from stackfile.kernel.process import state
from tests.conftest import Box
from tests.integration.processes import back, pids, until

pytestmark = pytest.mark.root

STACK = """
name: lasting
images:
  tools:
    from: scratch
    steps:
      - host: {programs: [busybox]}
services:
  crash: {image: tools, restart: always, command: [busybox, 'false']}
  writer:
    image: tools
    command: [busybox, sh, -c, 'n=0; while :; do echo line $$n; n=$$((n+1)); busybox sleep 0.01; done']
    stop_signal: SIGKILL
  brief:
    image: tools
    command: [busybox, sh, -c, 'trap "exit 42" USR1; echo up; while :; do busybox sleep 0.05; done']
"""


def test_followers_go_on(box: Box, tmp_path: Any) -> None:
    box.stack(STACK)
    box.run("up", "-d")
    brief = next(row for row in box.containers() if row["service"] == "brief")
    until(lambda: "up" in box.run("logs", "brief").stdout, "its handler", box)
    out = {name: tmp_path / name for name in ("events", "logs", "wait", "services", "exec")}
    commands = {
        "events": ("events", "--json"),
        "logs": ("container", "logs", "-f", "lasting-writer-1"),
        "wait": ("container", "wait", brief["id"]),
        "services": ("wait", "brief"),
        "exec": ("exec", "-T", "writer", "busybox", "sh", "-c", "busybox sleep 2; echo done; exit 7"),
    }
    running = {}
    for name, command in commands.items():
        with out[name].open("w") as file:
            running[name] = box.popen(*command, stdout=file)
    try:
        until(lambda: "line 10\n" in out["logs"].read_text(), "lines", box)
        # A command of its own begins to follow late on a busy machine: until an event of ours has come.
        until(lambda: _noise(box) and out["events"].read_text(), "events", box)
        os.kill(pids(box)["shim"], signal.SIGKILL)
        assert (running["exec"].wait(60), out["exec"].read_text()) == (7, "done\n")
        delay = until(lambda: (found := _delay(box)) > 0.3 and found, "a longer back-off", box)
        for ending in (0, brief["pid"]):
            _kill_daemon(box, ending)
            count = out["logs"].read_text().count("\n")
            until(lambda: out["logs"].read_text().count("\n") > count + 10, "more lines", box)  # noqa: B023
            assert _delay(box) >= delay  # a new daemon does not begin afresh
        assert running["wait"].wait(30) == 0
        assert out["wait"].read_text() == "42\n"
        assert running["services"].wait(30) == 42
        until(lambda: _died(out["events"].read_text(), brief["id"]), "the end", box)
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    lines = out["logs"].read_text().splitlines()[:-1]
    assert lines == [f"line {number}" for number in range(len(lines))]
    followed = [json.loads(line) for line in out["events"].read_text().splitlines()[:-1]]
    first, last = followed[0]["sequence"], followed[-1]["sequence"]
    stored = box.run("events", "--json", "--after", str(first - 1), "--no-follow").stdout.splitlines()
    assert [row["sequence"] for row in followed] == [
        number for number in (json.loads(line)["sequence"] for line in stored) if number <= last
    ]


def _died(text: str, identity: str) -> bool:
    return any('"die"' in line and identity in line for line in text.splitlines())


def _delay(box: Box) -> float:
    """The back-off of the container that crashes."""
    with closing(connect(f"unix://{box.settings.socket}", start=False)) as client:
        return client.container("lasting-crash-1").state.restart_delay


def _noise(box: Box) -> bool:
    """Something that makes an event."""
    with closing(connect(f"unix://{box.settings.socket}", start=False)) as client:
        client.pause("lasting-writer-1")
        client.unpause("lasting-writer-1")
    return True


def _kill_daemon(box: Box, ending: int) -> None:
    """With `ending` a container ends while there is no daemon."""
    old = pids(box)
    os.kill(old["supervisor"], signal.SIGSTOP)
    try:
        os.kill(old["daemon"], signal.SIGKILL)
        if ending:
            os.kill(ending, signal.SIGUSR1)
            deadline = time.monotonic() + 30
            while state(ending) not in ("Z", ""):
                assert time.monotonic() < deadline
                time.sleep(0.01)
    finally:
        os.kill(old["supervisor"], signal.SIGCONT)
    until(lambda: back(box, old, ("daemon",)), "the daemon", box)
