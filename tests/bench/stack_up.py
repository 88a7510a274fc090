"""`up`, no-op `up` and `down` of 10 trivial services against Compose v5 on dockerd."""

from __future__ import annotations

import subprocess

from tests.bench.measure import Result, timed
from tests.bench.ours import client
from tests.conftest import Box
from tests.peers import Docker, compose

SERVICES = 10
REPEAT = 5
IMAGES = "images: {busybox: {from: scratch, steps: [{host: {programs: [busybox]}}]}}\n"


def services() -> str:
    """Ten services that sleep and die at once when told to."""
    line = "{image: busybox, command: [busybox, sleep, '600'], stop_signal: SIGKILL}"
    return "services:\n" + "".join(f"  s{number}: {line}\n" for number in range(SERVICES))


def run(box: Box, docker: Docker) -> list[Result]:
    box.stack(f"name: bench-up\n{IMAGES}{services()}")
    peer_file = box.directory / "compose.peer.yaml"
    peer_file.write_text(f"name: bench-up\n{services()}")
    binary = compose()

    def peer(*args: str) -> None:
        subprocess.run(
            [binary, "-f", str(peer_file), *args],
            env={"DOCKER_HOST": docker.host, "HOME": str(box.directory), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
        )

    client(box, "build")
    times: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in (f"up of {SERVICES}", f"no-op up of {SERVICES}", f"down of {SERVICES}")
    }
    for _ in range(REPEAT):
        for (ours, theirs), mine, other in zip(
            times.values(),
            (("up", "-d"), ("up", "-d"), ("down",)),
            (("up", "-d"), ("up", "-d"), ("down",)),
            strict=True,
        ):
            ours.append(timed(lambda args=mine: client(box, *args)))  # type: ignore[misc]
            theirs.append(timed(lambda args=other: peer(*args)))  # type: ignore[misc]
    return [Result(name, ours, theirs) for name, (ours, theirs) in times.items()]
