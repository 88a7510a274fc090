"""Ending one of the engine's processes at one of its state-changing system calls, from outside (strace(1)).

`record` says which calls a process makes while a command runs; `killed` runs the command again and ends the process
on entry to one of them, so that the call has no effect, or when the call has had its effect.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests import leaks

CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "link,linkat,symlink,symlinkat,mknod,mknodat,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,setxattr,"
    "lsetxattr,fsopen,fsconfig,fsmount,move_mount,mount,umount2,pivot_root,clone,clone3,fork,vfork,unshare,setns,"
    "sendto,sendmsg,recvmsg,bind,kill,pidfd_send_signal,splice"
)
_MAKES = re.compile(r"O_CREAT|O_TRUNC")
_FILE = re.compile(r"\(\d+<(?:/|NETLINK:)")
"""A first descriptor, as `strace -yy` writes it, that is a file or a netlink socket: pipes and streams are no state."""
_SOCKET = re.compile(r"\(\d+<(?:/|NETLINK:|UNIX)")
"""The same of a process whose effect is what it says to others."""
_BY_DESCRIPTOR = {"write", "pwrite64", "sendto", "sendmsg", "recvmsg", "splice"}
_RECEIVED = "SCM_RIGHTS"
"""What makes receiving a change of state: descriptors that nobody else may have any more."""
_LINE = re.compile(r"^(?:(\d+) +)?([a-z_0-9]+)\(")
_PATIENCE = 20.0
_DELAY = 5_000_000
"""Microseconds for which a call whose effect is there does not return: time in which to end the process."""


Moment = Literal["before", "after"]
_MOMENTS: tuple[Moment, ...] = ("before", "after")


@dataclass(frozen=True)
class Point:
    """The `number`th time (from 1) that a thread of `victim` enters `call`; strace counts for each thread."""

    victim: str
    call: str
    number: int
    when: Moment

    def told(self, command: str) -> str:
        """In words, for who reads that it failed."""
        return f"{self.victim} ended {self.when} call {self.number} of {self.call} during {command}"


@dataclass(frozen=True)
class Target:
    """The process to end. `forks`: not `pid` itself but one of the processes that it has made or makes (a zygote)."""

    victim: str
    pid: int
    forks: bool = False
    talks: bool = False
    """Whether what it sends over Unix sockets is a point too: a worker's requests, a supervisor's answers."""
    threads: bool = False
    """Whether it has others than the one whose number is its own, and may have more."""

    def tracees(self) -> list[int]:
        """What strace attaches to, with all threads and what they make."""
        return leaks.descendants([self.pid]) if self.forks else [self.pid]

    def following(self) -> list[str]:
        """Options of strace by which nobody but the victim is traced, who would be ended in its place.

        Threads can be followed only together with children; those that run another program are let go.
        """
        return ["-f", "--detach-on=execve"] if self.threads else ["-f"] if self.forks else []


@contextmanager
def _traced(target: Target, *options: str) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """strace on the target with its threads, attached when the block begins; it ends with the block.

    Gives the file that it writes to, and the process.
    """
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        output, words = Path(directory, "calls"), Path(directory, "words")
        pids = target.tracees()
        attach = [option for pid in pids for option in ("-p", str(pid))]
        with words.open("w") as stream:
            tracer = subprocess.Popen(
                ["strace", *target.following(), "-yy", "-s", "8", "-o", str(output), *options, *attach], stderr=stream
            )
        try:
            _await_attached(tracer, words, pids)
            yield output, tracer
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            try:
                tracer.wait(_PATIENCE)
            except subprocess.TimeoutExpired:  # it waits for a thread that does not stop; the kernel does not
                tracer.kill()
                tracer.wait()


def _await_attached(tracer: subprocess.Popen[bytes], words: Path, pids: list[int]) -> None:
    """Until strace has them all, but for what has ended meanwhile: a command's worker at its end."""
    deadline = time.monotonic() + _PATIENCE
    said = ""
    while not all(re.search(rf"Process {pid} attached|, {pid}\): No such process", said) for pid in pids):
        said = words.read_text()
        assert tracer.poll() is None, said
        assert time.monotonic() < deadline, f"strace does not attach to {pids}: {said}"
        time.sleep(0.01)


def state_changing(lines: list[str], target: Target, threads: set[int]) -> set[tuple[str, int]]:
    """(call, how many-th of its name in its thread) of the calls in strace's `lines` that change what others see.

    Calls of `threads` count, or with `forks` those of all others. One that is split over two lines counts where it
    begins.
    """
    counts: Counter[tuple[int, str]] = Counter()
    found: set[tuple[str, int]] = set()
    place = _SOCKET if target.talks else _FILE
    for line in lines:
        matched = _LINE.match(line)
        if matched is None:
            continue
        thread, call = int(matched[1] or target.pid), matched[2]
        if (thread in threads) is target.forks:
            continue
        counts[thread, call] += 1
        if call == "openat" and not _MAKES.search(line):
            continue
        if call in _BY_DESCRIPTOR and not place.search(line):
            continue
        if call == "recvmsg" and _RECEIVED not in line:
            continue
        found.add((call, counts[thread, call]))
    return found


def record(target: Target, command: Callable[[], object]) -> list[Point]:
    """The points at which the target can be ended while `command` runs, each before and after its effect."""
    with _traced(target, "-e", f"trace={CALLS}") as (output, _):
        command()
        threads = {int(path.name) for path in Path(f"/proc/{target.pid}/task").iterdir()}
        lines = output.read_text(errors="replace").splitlines()
    calls = sorted(state_changing(lines, target, threads))
    return [Point(target.victim, call, number, when) for call, number in calls for when in _MOMENTS]


def killed(point: Point, target: Target, command: Callable[[], object]) -> bool:
    """Run `command` while the target is ended at `point`; whether it was reached."""
    effect = "signal=KILL" if point.when == "before" else f"delay_exit={_DELAY}"
    inject = f"inject={point.call}:{effect}:when={point.number}"
    with ThreadPoolExecutor(1) as pool, _traced(target, "-e", f"trace={point.call}", "-e", inject) as (output, tracer):
        running = pool.submit(command)
        ended = False
        while not running.done():
            wait([running], 0.005)
            if point.when == "after" and not ended:
                ended = _end_delayed(output, target, tracer)
        deadline = time.monotonic() + 1
        while not (ended := ended or "killed by SIGKILL" in output.read_text(errors="replace")):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
    running.result()
    return ended


def _end_delayed(output: Path, target: Target, tracer: subprocess.Popen[bytes]) -> bool:
    """SIGKILL to the target if one of its calls is held back after its effect.

    The tracer goes with it: it would keep the thread that it holds back from dying until the delay is over.
    """
    for line in output.read_text(errors="replace").splitlines():
        if "(DELAYED)" in line:
            found = re.match(r"\d+", line)
            pid = int(found[0]) if target.forks and found else target.pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            tracer.kill()
            return True
    return False
