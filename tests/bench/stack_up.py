"""`up`, no-op `up` and `down` of trivial services against Compose v5 on dockerd: 10, and 50 for the no-op."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.bench.measure import Result, compare, timed
from tests.bench.ours import client, warm
from tests.conftest import Box
from tests.peers import Docker, compose

SERVICES = 10
MANY = 50
REPEAT = 5
IMAGES = "images: {busybox: {from: scratch, steps: [{host: {programs: [busybox]}}]}}\n"


def services(count: int) -> str:
    """Services that sleep and die at once when told to."""
    line = "{image: busybox, command: [busybox, sleep, '600'], stop_signal: SIGKILL}"
    return "services:\n" + "".join(f"  s{number}: {line}\n" for number in range(count))


def peer(box: Box, docker: Docker, file: Path, *args: str) -> None:
    """The real Compose on dockerd."""
    subprocess.run(
        [compose(), "-f", str(file), *args],
        env={"DOCKER_HOST": docker.host, "HOME": str(box.directory), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )


def run(box: Box, docker: Docker) -> list[Result]:
    return [*_life(box, docker), _nothing_to_do(box, docker)]


def _write(box: Box, count: int) -> Path:
    box.stack(f"name: bench-up-{count}\n{IMAGES}{services(count)}")
    file = box.directory / "compose.peer.yaml"
    file.write_text(f"name: bench-up-{count}\n{services(count)}")
    return file


def _life(box: Box, docker: Docker) -> list[Result]:
    file = _write(box, SERVICES)
    client(box, "build")
    warm(box)
    times: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in (f"up of {SERVICES}", f"no-op up of {SERVICES}", f"down of {SERVICES}")
    }
    for _ in range(REPEAT):
        commands: Sequence[tuple[str, ...]] = (("up", "-d"), ("up", "-d"), ("down",))
        for (ours, theirs), command in zip(times.values(), commands, strict=True):
            ours.append(timed(lambda args=command: client(box, *args)))  # type: ignore[misc]
            theirs.append(timed(lambda args=command: peer(box, docker, file, *args)))  # type: ignore[misc]
    return [Result(name, ours, theirs) for name, (ours, theirs) in times.items()]


def _nothing_to_do(box: Box, docker: Docker) -> Result:
    file = _write(box, MANY)
    client(box, "up", "-d")
    peer(box, docker, file, "up", "-d")
    result = compare(
        f"no-op up of {MANY}",
        lambda: client(box, "up", "-d"),
        lambda: peer(box, docker, file, "up", "-d"),
        repeat=2 * REPEAT,
    )
    client(box, "down")
    peer(box, docker, file, "down", "-t", "0")
    return result
