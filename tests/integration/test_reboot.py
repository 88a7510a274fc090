"""All processes of the engine die at once, without its containers and with them: a power failure, and a new boot id."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest

from stackfile.errors import StackfileError
from stackfile.kernel.namespace import fresh
from tests.conftest import CLIENT, Box
from tests.integration import quickstart
from tests.kill.rest import processes, rest
from tests.kill.wreck import end, wreck

pytestmark = pytest.mark.root

BOOT_ID = "/proc/sys/kernel/random/boot_id"
STACK = """
name: power
images:
  tools:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: [busybox, mkdir, -p, /bin, /www]
      - run: [busybox, --install, -s, /bin]
networks: {inner: {}}
volumes: {data: {}}
services:
  db:
    image: tools
    # Ready half a second after each start.
    command: [sh, -c, "rm -f /ready; sleep 0.5; touch /ready; echo started >> /data/starts; exec sleep 600"]
    healthcheck: {test: [CMD, test, -e, /ready], interval: 200ms}
    networks: [inner]
    volumes: ['data:/data']
    restart: always
    stop_signal: SIGKILL
  web:
    image: tools
    command: [sh, -c, "echo here > /www/index.html; exec httpd -f -p 80 -h /www"]
    depends_on: {db: {condition: service_healthy}}
    networks: [inner]
    ports: ['127.0.0.1:PORT:80']
    restart: unless-stopped
    stop_signal: SIGKILL
  late: {image: tools, command: [sleep, '600'], depends_on: [web], restart: always, stop_signal: SIGKILL}
  once: {image: tools, command: [sleep, '600'], stop_signal: SIGKILL}
  rested: {image: tools, command: [sleep, '600'], restart: unless-stopped, stop_signal: SIGKILL}
  insistent: {image: tools, command: [sleep, '600'], restart: always, stop_signal: SIGKILL}
"""
BACK = {"db", "web", "late", "insistent"}
"""What a boot starts; `always` even what was stopped by hand, as Docker."""


@pytest.fixture
def machine(box: Box) -> Iterator[Box]:
    """A box that finds its boot id in a file of its own: every command sees that one, and so the engine it starts.

    In a network namespace of its own: a boot would have switched forwarding off again.
    """
    seen = box.directory / "boot_id"
    seen.write_text(f"{uuid.uuid4()}\n")
    script = f'mount --bind "$0" {BOOT_ID} && exec "$@"'
    box.program = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", script, str(seen), *CLIENT)
    with fresh() as netns:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield box
        # The supervisor that the box's own end looks for is not there while nothing runs.
        end(processes(box.settings))
        wreck(box.settings)
    os.close(netns)


def states(box: Box) -> dict[str, tuple[str, int]]:
    """Service → (state, pid)."""
    return {row["service"]: (row["state"], row["pid"]) for row in box.containers()}


def until_back(box: Box) -> None:
    deadline = time.monotonic() + 30
    while {name for name, (state, _) in states(box).items() if state == "running"} != BACK:
        assert time.monotonic() < deadline, f"{states(box)}\n{box.logs()}"
        time.sleep(0.05)


def serves(box: Box, port: int) -> None:
    """The published port answers, names are found."""
    assert quickstart.get(port, host="127.0.0.1") == "here\n"
    box.run("exec", "web", "nslookup", "db")


def left(box: Box, normal: set[str]) -> set[str]:
    """What is there and was not, once all has come to rest."""
    box.run("system", "settle")
    deadline = time.monotonic() + 20
    while True:
        try:
            found = rest(box.settings) - normal
        except StackfileError as error:
            found = {str(error)}
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_what_should_be_comes_back(machine: Box) -> None:
    box = machine
    port = quickstart.free_port()
    box.stack(STACK.replace("PORT", str(port)))
    box.run("up")
    box.run("down", "-v")
    box.run("system", "settle")
    normal = rest(box.settings)
    box.run("up")
    box.run("stop", "rested", "insistent")
    before = states(box)

    # Everything of ours but the containers.
    end(processes(box.settings))
    assert states(box) == before
    serves(box, port)

    # The machine.
    wreck(box.settings)
    (box.directory / "boot_id").write_text(f"{uuid.uuid4()}\n")
    assert set(states(box)) == set(before)
    until_back(box)
    after = states(box)
    assert not {pid for _, pid in after.values() if pid} & {pid for _, pid in before.values() if pid}
    assert {name: after[name][0] for name in ("once", "rested")} == {"once": "exited", "rested": "exited"}
    serves(box, port)
    assert box.run("exec", "db", "cat", "/data/starts").stdout == "started\n" * 2
    begun = {(event["attributes"].get("com.docker.compose.service"), event["action"]): event["sequence"]
             for event in map(json.loads, box.run("events", "--no-follow", "--json").stdout.splitlines())}  # fmt: skip
    assert begun["db", "health_status: healthy"] < begun["web", "start"] < begun["late", "start"]

    box.run("up")
    assert {state for state, _ in states(box).values()} == {"running"}
    box.run("plan", "--exit-code")
    box.run("down", "-v")
    assert not left(box, normal)
