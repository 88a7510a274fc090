"""The real Compose against our daemon: it drives the whole Docker API."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests import peers
from tests.integration.daemons import Served, served

__all__ = ["served"]
pytestmark = [pytest.mark.root, pytest.mark.peer]
FILE = """
services:
  web:
    image: busybox
    command: sh -c 'while :; do echo tick; sleep 1; done'
    ports: ["80"]
    volumes: ["data:/data"]
    depends_on: {db: {condition: service_healthy}}
    stop_signal: SIGKILL
  db:
    image: busybox
    command: sleep 100
    healthcheck: {test: ["CMD", "true"], interval: 1s}
    stop_signal: SIGKILL
volumes: {data: {}}
"""


def test_compose(served: Served) -> None:
    program = peers.compose()
    file = served.box.directory / "compose.yaml"
    file.write_text(FILE)

    def compose(*args: str) -> str:
        done = subprocess.run(
            [program, "-f", str(file), "-p", "comp", *args],
            env={**served.environment(), "DOCKER_HOST": served.host},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{args}\n{done.stdout}\n{done.stderr}\n{served.box.logs()}"
        return done.stdout

    compose("up", "-d")
    rows = [json.loads(line) for line in compose("ps", "--format", "json").splitlines()]
    assert {(row["Service"], row["State"]) for row in rows} == {("web", "running"), ("db", "running")}
    before = compose("ps", "-q")
    compose("up", "-d")
    assert compose("ps", "-q") == before
    assert "tick" in compose("logs", "web")
    assert compose("exec", "-T", "web", "ping", "-c1", "-W2", "db")
    assert "PID" in compose("top")
    compose("stop")
    compose("start")
    compose("down", "-v")
    assert served.docker("ps", "-aq").stdout == ""
    assert "comp" not in served.docker("volume", "ls", "-q").stdout
    assert "comp" not in served.docker("network", "ls", "--format", "{{.Name}}").stdout
