"""The zygote's loop: takes commands, forks a worker for each, stands between it and its client.

Single-threaded, so that a fork copies all there is. It reads nothing of a command but the first short message, and
never waits for anybody: a client or worker that hangs holds up nobody else.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from stackfile.kernel import seqpacket
from stackfile.worker import caller, protocol
from stackfile.worker.command import Request, serve
from stackfile.worker.protocol import Hello, parse_hello

_GRACE = 5.0
"""Seconds that a worker whose client is gone has to put things back."""
_BACKLOG = 256


@dataclass(eq=False)
class Job:
    """A client, and the worker that runs its command once it has said hello."""

    connection: socket.socket
    pid: int = 0
    grant: int = -1
    still: bool = False
    deadline: float = 0.0
    """When to kill it (monotonic); 0: never."""


class Zygote:
    """Runs until SIGTERM. `main` runs a command line and returns its exit code."""

    def __init__(self, listener: socket.socket, main: Callable[[list[str]], int]) -> None:
        self._listener = listener
        self._main = main
        self._standing = caller.Standing()
        self._jobs: dict[int, Job] = {}
        self._pids: dict[int, Job] = {}
        self._ending = False
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def run(self) -> None:
        while not self._ending or self._pids:
            for fd, _ in self._epoll.poll(self._pause()):
                if fd == self._wake:
                    os.read(self._wake, 4096)
                elif fd == self._listener.fileno():
                    self._accept()
                elif fd in self._jobs:
                    self._heard(self._jobs[fd])
            self._reap()
            self._kill_late()

    def _end(self, number: int, frame: object) -> None:
        """Take nothing new; those that run are told as if their clients had gone."""
        if not self._ending:
            self._ending = True
            self._epoll.unregister(self._listener)
            for job in self._pids.values():
                self._vanish(job)

    # ---- clients

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it has gone again, or there are too many
        connection.setblocking(False)
        self._jobs[connection.fileno()] = Job(connection)
        self._epoll.register(connection, select.EPOLLIN)
        self._heard(self._jobs[connection.fileno()])

    def _heard(self, job: Job) -> None:
        try:
            data, fds = seqpacket.receive(job.connection, protocol.HELLO)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._gone(job)
        elif job.pid:
            _close(fds)
            self._control(job, data)
        else:
            self._hello(job, data, fds)

    def _hello(self, job: Job, data: bytes, fds: list[int]) -> None:
        try:
            hello = parse_hello(data) if len(fds) == protocol.FDS and not self._ending else None
            who = self._caller(job)
            if hello is None or who is None:
                _say(job, protocol.REFUSED)
                self._forget(job)
            elif _say(job, protocol.TAKEN):
                self._fork(job, hello, who, fds)
            else:
                self._forget(job)
        finally:
            _close(fds)

    def _caller(self, job: Job) -> caller.Caller | None:
        """Who is there; None when a worker could not do for it what its own process would."""
        try:
            who = caller.of(job.connection)
        except OSError:
            return None
        return who if self._standing.allows(who) else None

    def _gone(self, job: Job) -> None:
        """The client has closed: after the end of its command, or too early."""
        self._epoll.unregister(job.connection)
        if job.pid:
            self._vanish(job)
        else:
            self._forget(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.connection.fileno(), None)
        job.connection.close()
        if job.grant >= 0:
            os.close(job.grant)
            job.grant = -1

    # ---- workers

    def _fork(self, job: Job, hello: Hello, who: caller.Caller, fds: list[int]) -> None:
        grant = -1
        if hello.terminal:
            grant, job.grant = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            job.pid = os.fork()
            if job.pid == 0:
                self._leave(job)
                serve(Request(hello, who, job.connection, fds, grant), parent, self._main)
        except OSError as error:
            print(f"worker: fork: {error}", flush=True)
            _say(job, protocol.KILLED + bytes((signal.SIGKILL,)))
            self._forget(job)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            if grant >= 0:
                os.close(grant)
        if job.pid:
            self._pids[job.pid] = job

    def _leave(self, job: Job) -> None:
        """In the child: nothing of the loop and of other commands stays."""
        signal.set_wakeup_fd(-1)
        self._jobs.pop(job.connection.fileno())
        for other in list(self._jobs.values()):
            other.connection.close()
        self._epoll.close()
        self._listener.close()
        job.connection.setblocking(True)

    def _control(self, job: Job, data: bytes) -> None:
        kind, value = data[:1], data[1:]
        if kind == protocol.SIGNAL and value and value[0] in protocol.HANDED_ON:
            _signal(job, value[0], group=value[0] in protocol.TO_GROUP)
        elif kind == protocol.STOP:
            if job.still:
                _say(job, protocol.STOPPED)
            _signal(job, signal.SIGSTOP, group=True)
        elif kind == protocol.CONTINUE:
            job.still = False
            _signal(job, signal.SIGCONT, group=True)
        elif kind in (protocol.GRANT, protocol.DENY) and job.grant >= 0:
            os.write(job.grant, kind)

    def _vanish(self, job: Job) -> None:
        if not job.deadline:
            job.deadline = time.monotonic() + _GRACE
            _signal(job, protocol.VANISHED)
            _signal(job, signal.SIGCONT)

    def _reap(self) -> None:
        while self._pids:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            job = self._pids.get(pid)
            if job is None:
                continue
            if os.WIFSTOPPED(status):
                job.still = True
                _say(job, protocol.STOPPED)
                continue
            del self._pids[pid]
            if os.WIFSIGNALED(status):
                _say(job, protocol.KILLED + bytes((os.WTERMSIG(status),)))
            else:
                _say(job, protocol.EXITED + bytes((os.WEXITSTATUS(status),)))
            self._forget(job)

    def _kill_late(self) -> None:
        now = time.monotonic()
        for job in self._pids.values():
            if job.deadline and job.deadline <= now:
                _signal(job, signal.SIGKILL, group=True)
                job.deadline = now + _GRACE

    def _pause(self) -> float:
        """Seconds until a worker must be killed; -1 for never."""
        deadlines = [job.deadline for job in self._pids.values() if job.deadline]
        return max(min(deadlines) - time.monotonic(), 0.0) if deadlines else -1.0


def listen(path: str, like: str) -> socket.socket:
    """A listening socket at `path` that the same users may connect to as the daemon's socket, `like`."""
    listener = seqpacket.listen(path, _BACKLOG)
    listener.setblocking(False)
    try:
        model = os.stat(like)
    except FileNotFoundError:
        return listener  # root alone
    os.chown(path, model.st_uid, model.st_gid)
    os.chmod(path, model.st_mode & 0o777)
    return listener


def _say(job: Job, message: bytes) -> bool:
    """False when the client does not listen any more. It never has more than a few messages to read."""
    try:
        job.connection.send(message, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True


def _signal(job: Job, number: int, *, group: bool = False) -> None:
    """To the worker, which is not reaped yet, or to its group once it leads one."""
    if group:
        try:
            os.killpg(job.pid, number)
            return
        except ProcessLookupError:
            pass  # it has just been forked
    os.kill(job.pid, number)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
