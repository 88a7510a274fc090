"""What a power failure leaves of an engine: its state root, and nothing else."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from stackfile.kernel.process import is_alive, start_time
from stackfile.settings import Settings
from tests.kill.rest import containers, processes

_PATIENCE = 60.0


def wreck(settings: Settings) -> None:
    """End everything of an engine at once, and take from the kernel and the run root what ends with a machine."""
    end([*processes(settings), *containers(settings)])
    for name in links(settings.bridge_prefix):
        # The kernel is about to delete those of ended namespaces itself.
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)
    for family in ("inet", "ip"):
        subprocess.run(["nft", "delete", "table", family, settings.nft_table], check=False, capture_output=True)
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        place = line.split()[4]
        if place.startswith((f"{settings.root}/", f"{settings.run}/")):
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)
    for parent in Path("/sys/fs/cgroup").glob(f"*/{settings.cgroup_parent}"):
        for directory, _, _ in os.walk(parent, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
    shutil.rmtree(settings.run, ignore_errors=True)


def links(prefix: str) -> list[str]:
    """Names of the interfaces of this network namespace that begin so (/sys has those of the one it was mounted in)."""
    return [name for _, name in socket.if_nameindex() if name.startswith(prefix)]


def end(pids: list[int]) -> None:
    """SIGKILL to all of them, stopped first so that none sees another one's end; waits until they are gone."""
    started = {pid: start_time(pid) for pid in pids if os.path.exists(f"/proc/{pid}")}
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    deadline = time.monotonic() + _PATIENCE
    while left := [pid for pid, when in started.items() if is_alive(pid, when)]:
        assert time.monotonic() < deadline, f"still there after SIGKILL: {left}"
        time.sleep(0.01)
