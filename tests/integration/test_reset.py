"""`system reset` whatever has become of the engine: the machine, here a network namespace of its own, is as it was."""

from __future__ import annotations

import glob
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stackfile.kernel.process import is_alive, start_time
from stackfile.network.attachment import new_namespace
from tests.conftest import PROGRAM, Box
from tests.integration.processes import pids, until

pytestmark = pytest.mark.root

STACK = """name: demo
images:
  base:
    from: scratch
    steps:
      - host: {programs: [sh, sleep]}
services:
  web: {image: base, command: [sleep, "1000"], ports: ["8080:80"], volumes: ["data:/data"], stop_grace_period: 0s}
  terminal: {image: base, command: [sleep, "1000"], tty: true, stop_grace_period: 0s}
  paused: {image: base, command: [sleep, "1000"], stop_grace_period: 0s}
volumes:
  data: {}
"""


@dataclass
class Machine:
    """A network namespace, and an engine in it."""

    box: Box
    enter: tuple[str, ...]
    before: str

    def ask(self, command: str) -> str:
        done = subprocess.run([*self.enter, "sh", "-ec", command], capture_output=True, text=True, check=True)
        return done.stdout

    def network(self) -> str:
        """All that an engine might change: links, addresses, routes, rules, forwarding."""
        return self.ask("ip -o addr; ip route show table all; nft list ruleset; sysctl net.ipv4.ip_forward")

    def mounts(self) -> list[str]:
        inside = f"{self.box.directory.parent}/"
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if inside in line]

    def groups(self) -> list[str]:
        return glob.glob(f"/sys/fs/cgroup/**/{self.box.settings.cgroup_parent}", recursive=True)

    def processes(self) -> dict[int, int]:
        """Pids of the engine's processes and of containers, with their start times."""
        containers = [row["pid"] for row in self.box.containers() if row["pid"]]
        return {pid: start_time(pid) for pid in [*pids(self.box).values(), *containers]}

    def up(self) -> dict[int, int]:
        self.box.stack(STACK)
        self.box.run("up", "-d")
        self.box.run("pause", "paused")
        until(lambda: pids(self.box)["worker"], "all processes", self.box)
        assert "ip_forward = 1" in self.network()
        return self.processes()

    def reset(self, started: dict[int, int]) -> str:
        """Reset, and look: nothing may be left. What was said on stderr."""
        said = self.box.run("system", "reset", "-y").stderr
        assert [pid for pid, start in started.items() if is_alive(pid, start)] == []
        assert self.network() == self.before
        assert (self.mounts(), self.groups()) == ([], [])
        assert not os.path.exists(self.box.settings.root)
        assert not os.path.exists(self.box.settings.run)
        return said


@pytest.fixture
def machine(box: Box) -> Iterator[Machine]:
    descriptor = new_namespace()
    enter = ("nsenter", f"--net=/proc/{os.getpid()}/fd/{descriptor}")
    box.program = (*enter, *PROGRAM)
    made = Machine(box, enter, "")
    made.ask("sysctl -qw net.ipv4.ip_forward=0")
    made.before = made.network()
    try:
        yield made
    finally:
        subprocess.run(["chattr", "-fR", "-i", f"{box.settings.root}/volumes"], check=False)
        box.run("system", "reset", "-y", code=None)
        os.close(descriptor)


def test_with_processes_that_hang_and_tampered_with(machine: Machine) -> None:
    box = machine.box
    started = machine.up()
    root = Path(box.settings.root)
    kept = root / "volumes" / "demo_data" / "_data" / "kept"
    kept.write_text("for ever")
    subprocess.run(["chattr", "+i", kept], check=True)
    for _ in range(2):
        subprocess.run(["mount", "-t", "tmpfs", "none", root / "blobs"], check=True)
    machine.ask(f"ip link add {box.settings.bridge_prefix}0123456789 type bridge")
    ours = pids(box)
    for name, number in (("daemon", signal.SIGSTOP), ("supervisor", signal.SIGSTOP), ("shim", signal.SIGKILL)):
        os.kill(ours[name], number)
    assert "-y does it" in box.run("system", "reset", code=5).stderr
    assert "does not end by itself" in machine.reset(started)
    assert box.run("system", "reset", "-y").stdout == "There is nothing to reset.\n"


def test_with_nothing_alive_but_containers_and_damaged_databases(machine: Machine) -> None:
    box = machine.box
    started = machine.up()
    ours = pids(box)
    for name in ("daemon", "shim", "worker", "resolver", "supervisor"):
        os.kill(ours[name], signal.SIGKILL)
    until(lambda: not any(is_alive(pid, started[pid]) for pid in ours.values()), "their end", box)
    state = Path(box.settings.root, "state.db")
    for path in state.parent.glob("state.db*"):
        path.write_bytes(b"no database" * 1000)
    assert "did not start" in box.run("ps", code=4).stderr
    assert machine.reset(started) == ""
