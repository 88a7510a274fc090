"""The supervisor's own children: started in order, respawned with back-off, stopped in reverse order."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stackfile.kernel.syscalls import PR_SET_PDEATHSIG, prctl
from stackfile.supervisor.protocol import ProcessStatus

_BACK_OFF = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY = 10.0
"""Seconds up after which a child counts as healthy again."""
_LOG_LIMIT = 5_000_000


@dataclass
class Child:
    """One process. `module` is run with the supervisor's own interpreter, isolated."""

    name: str
    module: str
    log: str
    pid: int = 0
    started: float = 0.0
    started_ns: int = 0
    restarts: int = 0
    failures: int = 0
    due: float = 0.0
    """When to start it again (monotonic); 0 while it runs."""
    ready: bool = False
    ready_fd: int = field(default=-1, repr=False)
    said: bytes = b""

    def start(self) -> None:
        """Fork and execute. `ready_fd` becomes readable when the child has said that it serves."""
        rotate(self.log)
        read, write = os.pipe2(os.O_CLOEXEC)
        argv = [sys.executable, "-I", "-m", self.module, "--ready-fd", str(write)]
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        pid = os.fork()
        if pid == 0:
            try:
                # Without us nobody would respawn it or hold its descriptors; the next client starts all anew.
                prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_DFL)
                os.set_inheritable(write, True)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.execv(sys.executable, argv)
            finally:
                os._exit(127)
        os.close(write)
        os.close(log)
        self.close_ready()
        self.pid, self.ready_fd, self.ready, self.said = pid, read, False, b""
        self.started, self.started_ns, self.due = time.monotonic(), time.time_ns(), 0.0

    def read_ready(self) -> bool:
        """Read what the child says; True when it is finished saying (ready, failed or dead)."""
        data = os.read(self.ready_fd, 4096)
        self.said += data
        if data and not self.said.endswith(b"\n"):
            return False
        self.ready = self.said.startswith(b"ok")
        return True

    def close_ready(self) -> None:
        if self.ready_fd >= 0:
            os.close(self.ready_fd)
            self.ready_fd = -1

    def ended(self) -> None:
        """It is dead: plan its return."""
        up = time.monotonic() - self.started
        self.failures = 0 if up > _STEADY else self.failures
        self.due = time.monotonic() + _BACK_OFF[min(self.failures, len(_BACK_OFF) - 1)]
        self.failures += 1
        self.restarts += 1
        self.pid = 0
        self.ready = False

    def status(self) -> ProcessStatus:
        return ProcessStatus(self.name, self.pid, self.started_ns if self.pid else 0, self.restarts)

    def stop(self, patience: float, reap: Callable[[], None]) -> None:
        """SIGTERM, then SIGKILL after `patience` seconds. `reap` collects dead children (and clears `pid`)."""
        if not self.pid:
            return
        _signal(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + patience
        killed = False
        while self.pid:
            reap()
            if not self.pid:
                return
            if not killed and time.monotonic() > deadline:
                _signal(self.pid, signal.SIGKILL)
                killed = True
            time.sleep(0.002)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # dead, not reaped yet


def rotate(path: str) -> None:
    """Keep one earlier log when the present one is longer than 5 MB."""
    try:
        if os.stat(path).st_size > _LOG_LIMIT:
            os.rename(path, f"{path}.1")
    except FileNotFoundError:
        pass
