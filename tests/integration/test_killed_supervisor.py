"""The supervisor dies: another one takes over without anybody asking for it, and nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from stackfile.kernel.process import state
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
  calm: {image: tools, command: [busybox, sleep, '600'], stop_signal: SIGKILL}
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
    assert after == {name: (before[name]["pid"], "running") for name in ("calm", "terminal", "web")}
    box.run("exec", "web", "busybox", "nslookup", "terminal")

    _check_unobserved(box, before["web"])
    box.run("down")
    assert box.containers() == []


def _check_unobserved(box: Box, web: dict[str, Any]) -> None:
    """What ends while neither shim nor supervisor lives has an end that nobody knows: that is what is said."""
    running = box.popen("exec", "-T", "calm", "busybox", "sh", "-c", "echo up; exec busybox sleep 599")
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"  # so the daemon knows that it was started
    command = until(lambda: _find("busybox\0sleep\x00599\0"), "the command", box)
    old = pids(box)
    os.kill(old["daemon"], signal.SIGSTOP)  # it would bring the supervisor back
    try:
        for pid in (old["supervisor"], old["shim"], web["pid"], command):
            os.kill(pid, signal.SIGKILL)
        # The machine's init may take its time, or never reap: then the kernel still has the end.
        ended = time.monotonic() + 5
        while (reaped := not any(state(pid) for pid in (web["pid"], command))) is False and time.monotonic() < ended:
            time.sleep(0.02)
    finally:
        os.kill(old["daemon"], signal.SIGCONT)
    running.communicate(timeout=60)
    until(lambda: back(box, old, ("supervisor", "shim")), "both", box, 60)
    row = until(lambda: (found := _row(box, "web"))["state"] == "exited" and found, "the end", box)
    waited = box.run("container", "wait", web["id"])
    if reaped:
        assert (row["exit_code"], running.returncode, waited.stdout) == (None, 255, "255\n")
        assert "not observed" in waited.stderr
        assert "exited (?)" in box.run("ps", "-a").stdout
        shown = box.json("container", "inspect", web["id"])
        assert "not observed" in str(shown)
    else:
        assert row["exit_code"] in (None, 137)


def _row(box: Box, service: str) -> dict[str, Any]:
    return next(row for row in box.containers() if row["service"] == service)


def _find(command: str) -> int:
    """Pid of the process with this command line; 0 when there is none."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{name}/cmdline").read_text() == command:
                return int(name)
        except OSError:
            continue
    return 0
