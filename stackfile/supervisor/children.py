"""The supervisor's children: started in order, respawned with back-off, stopped in reverse order.

They outlive a supervisor that is killed, and the next one adopts them: not its children for the kernel, they are
watched by pidfd.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from stackfile.kernel import process
from stackfile.supervisor import record
from stackfile.supervisor.protocol import ProcessStatus

_BACK_OFF = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY = 10.0
"""Seconds up after which a child counts as healthy again."""
_LOG_LIMIT = 5_000_000
_ADOPTION_PATIENCE = 5.0
"""Seconds for one that cannot be adopted to be gone after SIGKILL."""


@dataclass
class Child:
    """One process. `module` is run with the supervisor's own interpreter, isolated."""

    name: str
    module: str
    log: str
    record_path: str
    pid: int = 0
    started: float = 0.0
    started_ns: int = 0
    restarts: int = 0
    failures: int = 0
    """Ends in a row, each soon after the start."""
    last_end: str = ""
    """How it ended the last time."""
    due: float = 0.0
    """When to start it again (monotonic); 0 while it runs."""
    ready: bool = False
    ready_fd: int = field(default=-1, repr=False)
    pidfd: int = field(default=-1, repr=False)
    """Of one that was adopted."""
    said: bytes = b""
    wanted: bool = True
    """Whether it is started again when it ends."""

    def start(self) -> None:
        """Fork and execute. `ready_fd` becomes readable when the child has said that it serves. Raises OSError."""
        self.started = time.monotonic()
        log = open_log(self.log)
        try:
            read, write = os.pipe2(os.O_CLOEXEC)
            try:
                pid = os.fork()
            except OSError:
                os.close(read)
                os.close(write)
                raise
        except OSError:
            os.close(log)
            raise
        argv = [sys.executable, "-I", "-m", self.module, "--ready-fd", str(write)]
        if pid == 0:
            try:
                record.write(self.record_path)
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
        self.started_ns, self.due = time.time_ns(), 0.0

    def resume(self, pid: int, started_ns: int) -> None:
        """It is our child still: we have become another program."""
        self.pid, self.started_ns, self.started, self.ready = pid, started_ns, time.monotonic(), True

    def dismiss(self) -> None:
        """Ask it to end, and leave it so until `recall`."""
        self.wanted, self.due = False, 0.0
        if self.pid:
            _signal(self.pid, signal.SIGTERM)

    def recall(self) -> None:
        """Have one again, at once."""
        self.wanted, self.failures, self.due = True, 0, time.monotonic()

    def kill(self) -> None:
        """SIGKILL."""
        _signal(self.pid, signal.SIGKILL)

    def adopt(self) -> bool:
        """Take over the process that an earlier supervisor has started, if it lives and serves.

        One that was still starting cannot tell us when it serves: it is killed. `pidfd` becomes readable at the end.
        """
        found = record.read(self.record_path)
        pidfd = process.pidfd_of(found.pid, found.started) if found else -1
        if found is None or pidfd < 0:
            return False
        if not found.ready or not process.is_alive(found.pid, found.started):
            self._end_stranger(found)
            os.close(pidfd)
            return False
        self.pid, self.pidfd, self.ready, self.due = found.pid, pidfd, True, 0.0
        self.started, self.started_ns = time.monotonic(), process.since_epoch(found.started)
        return True

    @staticmethod
    def _end_stranger(found: record.Record) -> None:
        _signal(found.pid, signal.SIGKILL)
        deadline = time.monotonic() + _ADOPTION_PATIENCE
        while process.is_alive(found.pid, found.started) and time.monotonic() < deadline:
            time.sleep(0.002)

    def adopted_end(self) -> str:
        """How a process that is not our child ended, as far as the kernel tells; "" while it lives."""
        found = record.read(self.record_path)
        if found is not None and found.pid == self.pid and process.is_alive(found.pid, found.started):
            return ""
        status = process.exit_status(self.pidfd)
        return "an end that nobody saw" if status is None else describe(status)

    def read_ready(self) -> bool:
        """Read what the child says; True when it is finished saying (ready, failed or dead)."""
        data = os.read(self.ready_fd, 4096)
        self.said += data
        if data and not self.said.endswith(b"\n"):
            return False
        self.ready = self.said.startswith(b"ok")
        if self.ready:
            record.mark_ready(self.record_path)
        return True

    def close_ready(self) -> None:
        if self.ready_fd >= 0:
            os.close(self.ready_fd)
            self.ready_fd = -1

    def ended(self, how: str = "") -> None:
        """It is dead: plan its return, unless it was dismissed."""
        self.last_end, self.pid, self.ready = how, 0, False
        if not self.wanted:
            return
        up = time.monotonic() - self.started
        self.failures = 0 if up > _STEADY else self.failures
        self.due = time.monotonic() + _BACK_OFF[min(self.failures, len(_BACK_OFF) - 1)]
        self.failures += 1
        self.restarts += 1

    def status(self) -> ProcessStatus:
        failures = 0 if self.pid and time.monotonic() - self.started > _STEADY else self.failures
        started = self.started_ns if self.pid else 0
        return ProcessStatus(self.name, self.pid, started, self.restarts, failures, self.last_end, self.log)

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


def describe(status: int) -> str:
    """A wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # dead, not reaped yet


def open_log(path: str) -> int:
    """A log to append to, rotated before; /dev/null where the disk has no inode for it. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    try:
        rotate(path)
        return os.open(path, flags | os.O_CREAT, 0o600)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        return os.open("/dev/null", flags)


def rotate(path: str) -> None:
    """Keep one earlier log when the present one is longer than 5 MB."""
    try:
        if os.stat(path).st_size > _LOG_LIMIT:
            os.rename(path, f"{path}.1")
    except FileNotFoundError:
        pass
