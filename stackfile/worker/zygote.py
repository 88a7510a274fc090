"""The zygote's loop: takes commands, forks a worker for each, stands between it and its client.

Single-threaded, so that a fork copies all there is. It reads nothing of a command but the first short message, and
never waits for anybody: a client or worker that hangs holds up nobody else.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from stackfile.kernel import seqpacket
from stackfile.supervisor.presence import LONE, Presence
from stackfile.worker import caller, protocol
from stackfile.worker.command import Request, hand_over, receive, run
from stackfile.worker.protocol import Hello, parse_hello

_GRACE = 5.0
"""Seconds that a worker whose client is gone has to put things back."""
_BACKLOG = 256
_LULL = 0.05
"""Seconds after a command was taken until the next spare worker is made: not while that command wants the machine."""

_LOOK = 0.2
"""Seconds between two looks for a supervisor that is missing."""


@dataclass(eq=False)
class Job:
    """A client, and the worker that runs its command once it has said hello."""

    connection: socket.socket
    pid: int = 0
    grant: int = -1
    still: bool = False
    deadline: float = 0.0
    """When to kill it (monotonic); 0: never."""
    gone: bool = False
    """The client has closed."""
    done: bool = False
    """The worker has ended."""


@dataclass(frozen=True, slots=True)
class Spare:
    """A worker that waits for a command at the other end of `channel`."""

    pid: int
    channel: socket.socket


class Zygote:
    """Runs until SIGTERM. `main` runs a command line and returns its exit code; `wake` readies a worker for that.

    One worker is always forked ahead: a fork, and the copies of pages that a process writes to for the first time,
    would take a third of a short command.
    """

    def __init__(
        self,
        listener: socket.socket,
        main: Callable[[list[str]], int],
        wake: Callable[[], None] = lambda: None,
        presence: Presence | None = None,
    ) -> None:
        """Without the supervisor of `presence` it works on for a while, and then ends."""
        self._listener = listener
        self._presence = presence
        self._lost = 0.0
        """Since when there is no supervisor (monotonic); 0: there is one, or nobody asks."""
        self._main = main
        self._ready = wake
        self._spare: Spare | None = None
        self._refill = 0.0
        """When to make the next spare (monotonic)."""
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
        self._find_supervisor()
        while not self._ending or self._pids:
            for fd, _ in self._epoll.poll(self._pause()):
                if fd == self._wake:
                    os.read(self._wake, 4096)
                elif self._presence is not None and fd == self._presence.fileno():
                    self._presence.close()
                    self._lost = time.monotonic()
                elif fd == self._listener.fileno():
                    self._accept()
                elif fd in self._jobs:
                    self._heard(self._jobs[fd])
            self._reap()
            self._kill_late()
            if self._lost:
                self._find_supervisor()
            if self._spare is None and not self._ending and self._refill <= time.monotonic():
                self._fork_spare()
        if self._spare is not None:
            self._spare.channel.close()
            os.waitpid(self._spare.pid, 0)

    def _find_supervisor(self) -> None:
        if self._presence is None:
            return
        if self._presence.find():
            self._epoll.register(self._presence.fileno(), select.EPOLLIN)
            self._lost = 0.0
            return
        self._lost = self._lost or time.monotonic()
        if time.monotonic() - self._lost > LONE:
            self._end()

    def _end(self, *_: object) -> None:
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
        elif job.done or job.pid:
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
                self._start(job, hello, who, fds)
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
        job.gone = True
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

    def _start(self, job: Job, hello: Hello, who: caller.Caller, fds: list[int]) -> None:
        grant = -1
        if hello.terminal:
            grant, job.grant = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(job.grant, False)
        try:
            job.pid = self._give(Request(hello, who, job.connection, fds, grant)) or self._fork(
                job.connection, lambda: Request(hello, who, job.connection, fds, grant)
            )
            self._pids[job.pid] = job
        except OSError as error:
            print(f"worker: fork: {error}", file=sys.stderr)
            _say(job, protocol.KILLED + bytes((signal.SIGKILL,)))
            self._forget(job)
        finally:
            if grant >= 0:
                os.close(grant)

    def _give(self, request: Request) -> int:
        """Hand a command to the spare worker: its pid; 0 where there is none."""
        spare, self._spare = self._spare, None
        self._refill = time.monotonic() + _LULL
        if spare is None:
            return 0
        with spare.channel:
            try:
                hand_over(spare.channel, request)
            except OSError:
                return 0  # it has died, and is reaped soon
        return spare.pid

    def _fork_spare(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def request() -> Request | None:
            ours.close()
            self._ready()
            return receive(theirs)

        try:
            self._spare = Spare(self._fork(theirs, request), ours)
        except OSError:
            ours.close()
            self._refill = time.monotonic() + 1.0
        finally:
            theirs.close()

    def _fork(self, kept: socket.socket, request: Callable[[], Request | None]) -> int:
        """Fork a worker of what `request` gives, there. It has the socket `kept`, and nothing of others. OSError."""
        parent = os.getpid()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                self._leave(kept)
                run(request, parent, self._main)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return pid

    def _leave(self, kept: socket.socket) -> None:
        """In the child: nothing of the loop and of other commands stays."""
        signal.set_wakeup_fd(-1)
        for job in self._jobs.values():
            if job.connection is not kept:
                job.connection.close()
                _close([job.grant] if job.grant >= 0 else [])
        if self._spare is not None:
            self._spare.channel.close()
        if self._presence is not None:
            self._presence.close()
        self._epoll.close()
        self._listener.close()

    def _control(self, job: Job, data: bytes) -> None:
        kind, value = data[:1], data[1:]
        if job.done:
            return
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
            try:
                os.write(job.grant, kind)
            except OSError:
                pass  # the worker has ended, or nobody asked

    def _vanish(self, job: Job) -> None:
        if not job.deadline:
            job.deadline = time.monotonic() + _GRACE
            _signal(job, protocol.VANISHED)
            _signal(job, signal.SIGCONT)

    def _reap(self) -> None:
        while self._pids or self._spare:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            job = self._pids.get(pid)
            if job is None:
                self._spare_ended(pid)
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
            self._done(job)
            self._refill = 0.0

    def _done(self, job: Job) -> None:
        """Its client closes, having read the end: a close of ours could take unread messages for a reason to reset."""
        job.pid, job.done = 0, True
        if job.gone:
            self._forget(job)

    def _spare_ended(self, pid: int) -> None:
        if self._spare is not None and self._spare.pid == pid:
            self._spare.channel.close()
            self._spare = None
            self._refill = time.monotonic() + 1.0

    def _kill_late(self) -> None:
        now = time.monotonic()
        for job in self._pids.values():
            if job.deadline and job.deadline <= now:
                _signal(job, signal.SIGKILL, group=True)
                job.deadline = now + _GRACE

    def _pause(self) -> float:
        """Seconds until a worker must be killed or made, or the supervisor looked for; -1 for never."""
        deadlines = [job.deadline for job in self._pids.values() if job.deadline]
        if self._lost:
            deadlines.append(time.monotonic() + _LOOK)
        if self._spare is None and not self._ending:
            deadlines.append(self._refill)
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
