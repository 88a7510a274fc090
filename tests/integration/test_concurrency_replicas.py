"""A hundred replicas of a service: they share a port, have names, and come and go without a trace."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from tests import leaks
from tests.conftest import Box
from tests.integration.crowds import own
from tests.integration.quickstart import free_port

pytestmark = pytest.mark.root

COUNT = 100
_STACK = """name: crowd
images:
  app:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: [busybox, mkdir, -p, /www]
services:
  web:
    image: app
    command: [busybox, sh, -c, "busybox hostname > /www/index.html; exec busybox httpd -f -p 80 -h /www"]
    stop_signal: SIGKILL
    ports: ["127.0.0.1:@PORT@:80"]
    scale: 100
"""


def _ask(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b""
        while data := sock.recv(4096):
            answer += data
    return answer.rpartition(b"\r\n\r\n")[2].decode().strip()


def _answered(port: int, wanted: set[str]) -> None:
    """Ask on new connections until each of `wanted` has answered, and nobody else."""
    assert len(wanted) >= 3
    found: set[str] = set()
    deadline = time.monotonic() + 60
    while found != wanted:
        assert time.monotonic() < deadline, wanted - found
        found.add(_ask(port))
        assert found <= wanted, found - wanted


def _addresses(box: Box, name: str) -> set[str]:
    """What the engine's resolver says to the first replica, by TCP: a hundred addresses are too many for a datagram."""
    code = f"""
import dnslib
answer = dnslib.DNSRecord.parse(dnslib.DNSRecord.question("{name}").send("127.0.0.11", 53, tcp=True, timeout=20))
print(*(record.rdata for record in answer.rr))
"""
    pid = next(row["pid"] for row in box.containers() if row["name"] == "crowd-web-1")
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_a_hundred_replicas(box: Box) -> None:
    port = free_port()
    box.stack(_STACK.replace("@PORT@", str(port)))
    box.run("up", "--scale", "web=1")
    box.run("down")
    watch = box.watch()
    box.run("system", "settle")
    before = own(watch)

    box.run("up")
    rows = box.containers()
    assert {row["name"] for row in rows} == {f"crowd-web-{index + 1}" for index in range(COUNT)}
    assert {row["state"] for row in rows} == {"running"}
    _answered(port, {row["id"][:12] for row in rows})
    addresses = _addresses(box, "web")
    assert len(addresses) == COUNT
    one = _addresses(box, f"crowd-web-{COUNT}")
    assert len(one) == 1
    assert one < addresses

    box.run("scale", "web=3")
    rows = box.containers()
    assert {row["name"] for row in rows} == {"crowd-web-1", "crowd-web-2", "crowd-web-3"}
    _answered(port, {row["id"][:12] for row in rows})
    assert len(_addresses(box, "web")) == 3
    box.run("scale", f"web={COUNT}")
    _answered(port, {row["id"][:12] for row in box.containers()})
    box.run("down")
    box.run("system", "settle")
    assert not leaks.leaked(before, lambda: own(watch), 20)
