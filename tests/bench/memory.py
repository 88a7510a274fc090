"""Memory of all engine processes with 100 idle containers, in MB; the containers' own processes do not count."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from tests import leaks
from tests.bench.measure import Result
from tests.bench.ours import client, warm
from tests.bench.stack_up import IMAGES, peer
from tests.conftest import Box
from tests.peers import Docker

COUNT = 100
SERVICE = f"{{image: busybox, command: [busybox, sleep, '600'], stop_signal: SIGKILL, scale: {COUNT}}}"


def run(box: Box, docker: Docker) -> list[Result]:
    box.stack(f"name: bench-memory\n{IMAGES}services:\n  web: {SERVICE}\n")
    file = box.directory / "compose.peer.yaml"
    file.write_text(f"name: bench-memory\nservices:\n  web: {SERVICE}\n")
    client(box, "up", "-d")
    warm(box)
    peer(box, docker, file, "up", "-d")
    time.sleep(2)
    ours = _megabytes(pid for pid in leaks.descendants([box.supervisor]) if _namespace(pid) == _namespace(os.getpid()))
    theirs = _megabytes(_of_docker(docker))
    client(box, "down", "-t", "0")
    peer(box, docker, file, "down", "-t", "0")
    return [Result(f"memory with {COUNT} containers, MB", [ours], [theirs])]


def _of_docker(docker: Docker) -> list[int]:
    """dockerd, containerd and shims: their command lines name the directory that dockerd was given."""
    directory = os.path.dirname(docker.host.removeprefix("unix://"))
    names = ("dockerd", "containerd")
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if directory in command and os.path.basename(command.split("\0")[0]).startswith(names):
            found.append(int(path.parent.name))
    return found


def _megabytes(pids: Iterable[int]) -> float:
    """Proportional set sizes together (proc(5), smaps_rollup): shared pages count once."""
    total = 0
    for pid in set(pids):
        try:
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return total / 1024


def _namespace(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return 0
