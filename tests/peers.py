"""Other tools that ours is compared with: dockerd with its own roots and network namespace, the real Compose."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BUSYBOX = "/bin/busybox"


def need(tool: str) -> str:
    """Path of a peer. Missing: fails in CI, skips with one line elsewhere."""
    beside = Path(sys.executable).with_name(tool)
    found = str(beside) if beside.exists() else shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"peer {tool} is missing: .ci/run installs it")
        pytest.skip(f"peer {tool} is not installed")
    return found


def busybox_tar() -> bytes:
    """A root file system with busybox and its links, as a tar."""
    busybox = need("busybox")
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return out.getvalue()


class Docker:
    """A running dockerd of our own; `cli` runs the real docker client against it."""

    def __init__(self, socket: str) -> None:
        self.host = f"unix://{socket}"

    def cli(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [need("docker"), "-H", self.host, *args]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, capture_output=True, text=True, check=True, **options
        )
        return done


def _wait_for(socket: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            if os.path.exists(socket) and Docker(socket).cli("version"):
                return
        time.sleep(0.1)
    pytest.fail(f"dockerd did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def dockerd(directory: Path, *, own_network: bool = True) -> Iterator[Docker]:
    """Start dockerd with its roots below `directory`; busybox is loaded.

    In a network namespace of its own, unless the calling thread's is one already.
    """
    need("dockerd"), need("containerd")
    directory.mkdir(parents=True, exist_ok=True)
    socket = f"{directory}/docker.sock"
    log = directory / "log"
    script = (
        "ip link set lo up; "
        f"exec dockerd --data-root {directory}/data --exec-root {directory}/exec --pidfile {directory}/pid "
        f"-H unix://{socket} --cgroup-parent /stackfile-peer-{os.getpid()}"
    )
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*(["unshare", "--net"] if own_network else []), "sh", "-c", script],
            stdout=out,
            stderr=out,
            env=environment,
            start_new_session=True,
        )
    try:
        _wait_for(socket, process, log)
        docker = Docker(socket)
        subprocess.run(
            [need("docker"), "-H", docker.host, "import", "-", "busybox:latest"],
            input=busybox_tar(), check=True, capture_output=True,
        )  # fmt: skip
        yield docker
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for mount in reversed(_mounts_below(str(directory))):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        shutil.rmtree(directory, ignore_errors=True)
        name = f"stackfile-peer-{os.getpid()}"
        for base, names, _ in os.walk("/sys/fs/cgroup"):  # not glob: others' groups vanish meanwhile
            if name in names:
                with contextlib.suppress(OSError):
                    os.rmdir(f"{base}/{name}")


def _mounts_below(directory: str) -> list[str]:
    fields = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [field[4] for field in fields if field[4].startswith(directory + "/")]


def compose() -> str:
    """The real Compose v5 binary."""
    return need("docker-compose")
