"""`config`: of a large file in a process of its own, of a small one in a warm worker, and how the time grows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.measure import Result, compare, timed
from tests.bench.ours import client, warm
from tests.conftest import Box
from tests.peers import Docker, need

SERVICE = """\
  s{0}:
    image: registry.example/app:{0}
    command: [python3, app.py, --port, "80"]
    environment: {{A: "1", B: two, C: "${{HOME:-x}}"}}
    ports: ["{1}:80"]
    volumes: ["v:/data", "./x:/y:ro"]
    healthcheck: {{test: [CMD, x], interval: 2s}}
    deploy: {{replicas: 2, resources: {{limits: {{memory: 64m}}}}}}
"""
AFTER = "    depends_on: {{s{0}: {{condition: service_healthy}}}}\n"


def compose_file(path: Path, count: int) -> Path:
    """Write a Compose file of `count` services, each depending on the one before."""
    services = (
        SERVICE.format(number, 10_000 + number) + (AFTER.format(number - 1) if number else "")
        for number in range(count)
    )
    path.write_text(f"name: large\nvolumes: {{v: }}\nservices:\n{''.join(services)}")
    return path


def _ours(path: Path) -> None:
    command = [sys.executable, "-I", "-m", "stackfile", "-f", str(path), "config", "--format", "json"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def _compose(path: Path) -> None:
    command = [need("docker-compose"), "-f", str(path), "config", "--format", "json"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env={**os.environ, "DOCKER_HOST": "unix:///none"})


def _growth(directory: Path) -> Result:
    """5,000 services (left) against five times the time of 1,000 (right): 1.0 is exact proportion."""
    small, large = (compose_file(directory / f"c{count}.yaml", count) for count in (1000, 5000))
    once = [5 * timed(lambda: _ours(small)) for _ in range(3)]
    return Result("config: 5,000 services / 5 × 1,000", [timed(lambda: _ours(large)) for _ in range(3)], once)


def run(box: Box, docker: Docker) -> list[Result]:
    del docker  # Compose reads files without one
    large = compose_file(box.directory / "large.yaml", 1000)
    small = compose_file(box.directory / "small.yaml", 50)
    client(box, "daemon", "start")
    warm(box)
    return [
        compare("config of 1,000 services, cold", lambda: _ours(large), lambda: _compose(large), repeat=5),
        compare(
            "config of 50 services, warm",
            lambda: client(box, "-f", str(small), "config", "--format", "json"),
            lambda: _compose(small),
            repeat=20,
        ),
        _growth(box.directory),
    ]
