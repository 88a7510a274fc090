"""The supervisor dies: another one takes over without anybody asking for it, and containers run on."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.conftest import Box

pytestmark = pytest.mark.root

STACK = """
name: outlive
images:
  tools:
    from: scratch
    steps:
      - host: {programs: [busybox]}
services:
  terminal: {image: tools, tty: true, command: [busybox, sh], stop_signal: SIGKILL}
  web: {image: tools, command: [busybox, sleep, '600'], stop_signal: SIGKILL}
"""


def test_containers_run_on_and_are_served_again(box: Box) -> None:
    box.stack(STACK)
    box.run("up", "-d")
    box.run("exec", "web", "busybox", "nslookup", "web")
    before = box.containers()
    old = box.supervisor
    os.kill(old, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while box.supervisor in (0, old) or not os.path.exists(f"/proc/{box.supervisor}"):
        assert time.monotonic() < deadline, box.logs()
        time.sleep(0.05)
    # The one with a terminal too, which would have ended with its master.
    after = [(row["id"], row["pid"], row["state"]) for row in box.containers()]
    assert after == [(row["id"], row["pid"], "running") for row in before]
    # The namespace is held and the resolver answers in it again.
    box.run("exec", "web", "busybox", "nslookup", "web")
    box.run("down")
    assert box.containers() == []
