"""The supervisor dies: another one takes over without anybody asking for it, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.conftest import Box
from tests.integration import quickstart
from tests.integration.processes import back, pids, supervisor, until

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
  web: {image: tools, command: [busybox, sleep, '600'], stop_signal: SIGKILL, ports: ["%d:80"]}
  brief: {image: tools, command: [busybox, sleep, '600'], stop_signal: SIGKILL}
"""


def keys(box: Box) -> set[str]:
    with supervisor(box) as line:
        return set(line.keys())


def is_reserved(port: int) -> bool:
    """Whether nobody else gets the port, in either family."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(family) as sock:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("", port))
            except OSError:
                continue
            return False
    return True


def test_nothing_is_lost(box: Box) -> None:
    port = quickstart.free_port()
    box.stack(STACK % port)
    box.run("up", "-d")
    box.run("exec", "web", "busybox", "nslookup", "web")
    before = {row["service"]: row for row in box.containers()}
    old = until(lambda: (found := pids(box))["worker"] and found, "all processes", box)
    held = keys(box)
    waiting = box.popen("container", "wait", before["brief"]["id"])

    os.kill(old["supervisor"], signal.SIGKILL)
    until(lambda: (is_reserved(port) or pytest.fail("not reserved")) and back(box, old, ("supervisor",)), "it", box)
    now = pids(box)
    assert {name for name in now if now[name] != old[name]} == {"supervisor"}
    until(lambda: keys(box) == held, "all that was held", box)
    os.kill(before["brief"]["pid"], signal.SIGKILL)
    out, _ = waiting.communicate(timeout=30)
    assert out.strip() == "137"

    # With the daemon, which would start another one: the shim does.
    for name in ("supervisor", "daemon"):
        os.kill(now[name], signal.SIGKILL)
    until(lambda: is_reserved(port) and back(box, now, ("supervisor", "daemon")), "both", box, 60)
    after = {row["service"]: (row["pid"], row["state"]) for row in box.containers()}
    assert after.pop("brief") == (0, "exited")
    # The one with a terminal too, which would have ended with its master.
    assert after == {name: (before[name]["pid"], "running") for name in ("terminal", "web")}
    box.run("exec", "web", "busybox", "nslookup", "terminal")
    box.run("down")
    assert box.containers() == []
