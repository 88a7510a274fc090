"""The leak test itself: one of each leaked on purpose is caught, and none is seen where nothing leaked."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.leaks import Watch, compare, leaked

pytestmark = [pytest.mark.root, pytest.mark.alone]

OURS = """
import os, sys
held = []
for line in sys.stdin:
    match line.strip():
        case "fd": held.append(os.open("/dev/null", os.O_RDONLY))
        case "zombie":
            if os.fork() == 0: os._exit(0)
    print("done", flush=True)
"""


@contextlib.contextmanager
def process_of_ours() -> Iterator[tuple[int, Callable[[str], None]]]:
    """A process that leaks what it is told to."""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", OURS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def tell(what: str) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(what + "\n")
            process.stdin.flush()
            process.stdout.readline()

        yield process.pid, tell
        process.kill()


@contextlib.contextmanager
def command(make: str, undo: str) -> Iterator[None]:
    subprocess.run(["sh", "-c", make], check=True, cwd="/var/tmp")
    try:
        yield
    finally:
        subprocess.run(["sh", "-c", undo], check=True, cwd="/var/tmp")


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_each_kind_is_caught(tmp_path: Path) -> None:
    name = f"t{os.getpid()}"
    mount = tmp_path / "mount"
    mount.mkdir()
    lock_file = tmp_path / "lock"
    lock_file.touch()
    groups = [path for path in Path("/sys/fs/cgroup").iterdir() if path.is_dir()]
    with process_of_ours() as (pid, tell):
        watch = Watch((str(tmp_path),), (pid,))
        before = watch.take()
        assert leaked(before, watch.take) == {}
        leaks: dict[str, contextlib.AbstractContextManager[object]] = {
            "mounts": command(f"mount -t tmpfs {name} {mount}", f"umount {mount}"),
            "namespaces": command(
                f"unshare --net sleep 60 >/dev/null 2>&1 & echo $! >{name}.pid; sleep 0.2",
                f"kill $(cat {name}.pid); rm {name}.pid",
            ),
            "links": command(f"ip link add {name} type bridge", f"ip link del {name}"),
            "nft": command(f"nft add table inet {name}", f"nft delete table inet {name}"),
            "cgroups": command(f"mkdir {groups[0]}/{name}", f"rmdir {groups[0]}/{name}"),
            "locks": lock(lock_file),
            "files": command(f"touch {tmp_path}/{name}", f"rm {tmp_path}/{name}"),
        }
        for kind, leak in leaks.items():
            with leak:
                assert kind in compare(before, watch.take()), kind
            assert leaked(before, watch.take) == {}
        tell("fd")
        assert set(leaked(before, watch.take, 0.2)) == {"fds"}
        tell("zombie")
        assert {"fds", "zombies"} <= set(leaked(before, watch.take, 0.2))
