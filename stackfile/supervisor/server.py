"""The supervisor's loop: its socket, its children, the descriptors that it holds."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from typing import Any

from stackfile.kernel import seqpacket
from stackfile.paths import RunPaths
from stackfile.supervisor import record
from stackfile.supervisor.children import Child, describe
from stackfile.supervisor.condition import last_lines
from stackfile.supervisor.orphans import Orphans
from stackfile.supervisor.protocol import MESSAGE
from stackfile.supervisor.renewal import Renewal
from stackfile.supervisor.upgrade import Handed

_MODULES = (
    ("shim", "stackfile.runtime.shim"),
    ("resolver", "stackfile.resolver"),
    ("daemon", "stackfile.daemon"),
)
"""In the order of their start."""
_WARM = ("worker", "stackfile.worker")
"""Only makes commands faster: started when the others serve, so that nobody waits for it."""
_START_PATIENCE = 30.0
_STOP_PATIENCE = {"worker": 7.0, "daemon": 10.0, "resolver": 2.0, "shim": 5.0}

_OF_CONTAINERS = ("stdio", "tty", "netns")
"""Kinds of keys under which something of running containers is held."""

Answer = tuple[Any, Sequence[int]]


class Held:
    """Descriptors that must survive the processes that use them, by key."""

    def __init__(self) -> None:
        self._fds: dict[str, list[int]] = {}

    def put(self, key: str, fds: list[int]) -> None:
        """Keep `fds` (ownership passes here) in place of what was kept."""
        self._close(self._fds.pop(key, []))
        self._fds[key] = fds

    def get(self, key: str) -> list[int]:
        return self._fds.get(key, [])

    def drop(self, prefix: str) -> None:
        for key in self.keys(prefix):
            self._close(self._fds.pop(key))

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self._fds if not prefix or key == prefix or key.startswith(f"{prefix}/")]

    def all(self) -> dict[str, list[int]]:
        return dict(self._fds)

    @staticmethod
    def _close(fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)


class Server:
    """Runs until asked to stop. `announce` is called once: "ok" when the daemon is ready, or why it is not."""

    def __init__(
        self,
        paths: RunPaths,
        announce: Callable[[str], object] | None,
        modules: Sequence[tuple[str, str]] = (),
        *,
        handed: Handed | None = None,
    ):
        """`handed` is what this process had and needs as another program: of an upgrade, where it has a listener."""
        self._paths = paths
        self._announce = announce
        self._handed = handed
        self._program: list[str] = []
        """What to become."""
        self._renewal: Renewal | None = None
        self._held = Held()
        self._orphans = Orphans()
        named = modules or (*_MODULES, _WARM)
        self._children = [Child(name, module, paths.log(name), paths.record(name)) for name, module in named]
        self._needed = len(modules or _MODULES)
        self._clients: dict[int, socket.socket] = {}
        self._stopping = False
        self._started = time.time_ns()
        self._epoll = select.epoll()
        self._listener = (
            socket.socket(fileno=handed.listener)
            if handed is not None and handed.listener >= 0
            else seqpacket.listen(paths.supervisor)
        )
        self._listener.setblocking(False)
        self._epoll.register(self._listener, select.EPOLLIN)
        self._wake, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop_soon())

    def run(self) -> None:
        deadline = time.monotonic() + _START_PATIENCE
        if self._handed is not None and self._handed.listener >= 0:
            self._resume(self._handed)
        else:
            self._start_all()
        while not self._stopping:
            for fd, events in self._epoll.poll(self._pause()):
                self._dispatch(fd, events)
            if self._program:
                self._become()
            self._renew()
            self._respawn()
            if self._announce is not None and time.monotonic() > deadline:
                self._say("error: " + self._not_ready())
        self._stop_children()

    def _dispatch(self, fd: int, events: int) -> None:
        if fd == self._listener.fileno():
            self._accept()
        elif fd == self._wake:
            os.read(self._wake, 4096)
            self._reap()
        elif fd in self._clients:
            self._serve(fd)
        else:
            self._heard(fd)

    # ---- upgrades

    def _become(self) -> None:
        """Another program, with all that is here; go on as we are where that is not possible."""
        program, self._program = self._program, []
        assert self._handed is not None
        own = [child for child in self._children if child.pid and child.pidfd < 0]
        handed = replace(
            self._handed,
            listener=self._listener.fileno(),
            clients=list(self._clients),
            held=self._held.all(),
            ends=[list(astuple(end)) for end in self._orphans.ends()],
            children={child.name: [child.pid, child.started_ns] for child in own},
            started=self._started,
        )
        print(f"supervisor: becoming {' '.join(program)}", file=sys.stderr, flush=True)
        try:
            handed.execute(program)
        except OSError as error:
            print(f"supervisor: {program[0]} cannot be executed: {error}", file=sys.stderr, flush=True)

    def _resume(self, handed: Handed) -> None:
        self._started = handed.started
        for key, fds in handed.held.items():
            self._held.put(key, fds)
        self._orphans.restore(handed.ends)
        for child in self._children:
            if child.name in handed.children:
                child.resume(*handed.children[child.name])
            elif child.adopt():
                self._epoll.register(child.pidfd, select.EPOLLIN)
        for fd in handed.clients:
            self._know(socket.socket(fileno=fd))
        self._reap()
        self._renewal = Renewal({child.name: child for child in self._children})

    def _renew(self) -> None:
        if self._renewal is not None:
            self._renewal.advance()
            if self._renewal.done:
                self._renewal = None

    # ---- children

    def _start_all(self) -> None:
        """All at once: each waits for the sockets of the others that it needs."""
        for child in self._children[: self._needed]:
            self._start(child)
        self._are_ready()

    def _start(self, child: Child) -> None:
        """Start it, or adopt the one that has outlived the supervisor before this one."""
        if child.adopt():
            print(f"supervisor: {child.name} runs on ({child.pid})", file=sys.stderr, flush=True)
            self._epoll.register(child.pidfd, select.EPOLLIN)
            return None
        try:
            child.start()
        except OSError as error:
            # No process, no descriptor, no inode for a log: try again later, like one that ended at once.
            print(f"supervisor: {child.name} is not started: {error}", file=sys.stderr)
            return child.ended()
        self._epoll.register(child.ready_fd, select.EPOLLIN)
        return None

    def _heard(self, fd: int) -> None:
        child = next((each for each in self._children if fd in (each.ready_fd, each.pidfd)), None)
        if child is not None and fd == child.pidfd:
            self._reap_adopted(child)
        if child is None or fd != child.ready_fd or not child.read_ready():
            return
        self._epoll.unregister(fd)
        child.close_ready()
        if child.ready:
            self._are_ready()
        elif child.said:
            self._say(f"error: {child.name}: {child.said.decode(errors='replace').removeprefix('error:').strip()}")

    def _are_ready(self) -> None:
        if all(each.ready for each in self._children[: self._needed]):
            self._say("ok")
            self._start_warm()

    def _start_warm(self) -> None:
        for child in self._children[self._needed :]:
            if child.wanted and not child.pid and not child.due:
                self._start(child)

    def _reap(self) -> None:
        for pid, status in self._orphans.reap():
            for child in self._children:
                if child.pid == pid:
                    self._orphans.forget_pid(pid)
                    self._child_ended(child, describe(status))
        for child in self._children:
            if child.pidfd >= 0:
                self._reap_adopted(child)

    def _reap_adopted(self, child: Child) -> None:
        how = child.adopted_end()
        if how:
            self._epoll.unregister(child.pidfd)
            os.close(child.pidfd)
            child.pidfd = -1
            self._child_ended(child, how)

    def _child_ended(self, child: Child, how: str) -> None:
        if not self._stopping:
            print(f"supervisor: {child.name} ended ({how})", file=sys.stderr, flush=True)
        never_ready = not child.ready
        child.ended(how)
        if never_ready and self._announce is not None and child.failures > 2:
            self._say(f"error: {child.name} does not start: {_last_line(child.log)}")

    def _respawn(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.due and child.due <= now:
                if child.ready_fd >= 0:
                    self._epoll.unregister(child.ready_fd)
                    child.close_ready()
                self._start(child)

    def _pause(self) -> float:
        """Seconds until something is due; -1 for never."""
        due = [child.due for child in self._children if child.due]
        pause = max(min(due) - time.monotonic(), 0.0) if due else -1.0
        longest = 0.1 if self._renewal is not None else 1.0 if self._announce is not None else -1.0
        return min(pause, longest) if pause >= 0 and longest >= 0 else max(pause, longest)

    def _not_ready(self) -> str:
        needed = self._children[: self._needed]
        late = next((child for child in needed if not child.ready), needed[-1])
        return f"{late.name} is not ready after {_START_PATIENCE:.0f} s: {_last_line(late.log)}"

    def _say(self, word: str) -> None:
        if self._announce is None:
            return
        self._announce(word)
        self._announce = None
        if word != "ok" and not any(self._held.keys(kind) for kind in _OF_CONTAINERS):
            # Nothing depends on it: whoever tries again, perhaps with another version, finds the place free.
            self._stop_soon()

    def _stop_soon(self) -> None:
        self._stopping = True

    def _stop_children(self) -> None:
        """worker, daemon, resolver, shim; then whatever they left behind."""
        self._stopping = True
        for child in reversed(self._children):
            child.stop(_STOP_PATIENCE.get(child.name, 5.0), self._reap)
        for path in (
            self._paths.supervisor,
            self._paths.shim,
            self._paths.resolver,
            self._paths.socket,
            self._paths.worker,
        ):
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
        for child in self._children:
            record.remove(child.record_path)

    # ---- clients

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # gone again, or no descriptor is free: it waits in the queue
        if seqpacket.peer_uid(sock) != 0:
            sock.close()
            return
        seqpacket.widen(sock, MESSAGE)
        self._know(sock)

    def _know(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._clients[sock.fileno()] = sock
        self._epoll.register(sock, select.EPOLLIN)

    def _serve(self, fd: int) -> None:
        sock = self._clients[fd]
        try:
            data, fds = seqpacket.receive(sock, MESSAGE)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self._epoll.unregister(fd)
            del self._clients[fd]
            sock.close()
            return
        answer: dict[str, Any]
        request: dict[str, Any] = {}
        try:
            request = json.loads(data)
            ok, given = self._handle(request, fds)
            answer = {"ok": ok}
        except (OSError, KeyError, ValueError) as error:
            answer, given = {"error": repr(error)}, ()
        if request.get("quiet"):
            if "error" in answer:
                print(f"supervisor: {request['do']}: {answer['error']}", file=sys.stderr, flush=True)
            return
        try:
            seqpacket.send(sock, json.dumps(answer).encode(), given)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EAGAIN):
                raise

    def _handle(self, request: dict[str, Any], fds: list[int]) -> Answer:
        do = request["do"]
        if do == "hold":
            self._held.put(request["key"], fds)
            return None, ()
        for fd in fds:
            os.close(fd)
        return _HANDLERS[do](self, request)

    def _fetch(self, request: dict[str, Any]) -> Answer:
        return None, self._held.get(request["key"])

    def _drop(self, request: dict[str, Any]) -> Answer:
        for prefix in request["prefixes"]:
            self._held.drop(prefix)
        return None, ()

    def _keys(self, request: dict[str, Any]) -> Answer:
        return self._held.keys(request["prefix"]), ()

    def _exits(self, request: dict[str, Any]) -> Answer:
        self._reap()
        return [[end.pid, end.start_time, end.status, end.time_ns] for end in self._orphans.ends()], ()

    def _forget(self, request: dict[str, Any]) -> Answer:
        self._orphans.forget(request["pid"], request["start_time"])
        return None, ()

    def _status(self, request: dict[str, Any]) -> Answer:
        rows = [child.status() for child in self._children]
        own = ["supervisor", os.getpid(), self._started, 0, 0, "", self._paths.log("supervisor")]
        return [own, *(list(astuple(row)) for row in rows)], ()

    def _upgrade(self, request: dict[str, Any]) -> Answer:
        """Soon after the answer. OSError when it cannot be now."""
        program = [str(word) for word in request["program"]]
        if self._handed is None or self._renewal is not None or not all(each.ready for each in self._children):
            raise BlockingIOError(errno.EBUSY, "not all of the engine's processes are ready")
        if not os.access(program[0], os.X_OK):
            raise PermissionError(errno.EACCES, "cannot be executed", program[0])
        self._program = program
        return None, ()

    def _stop(self, request: dict[str, Any]) -> Answer:
        self._stop_soon()
        return None, ()


_HANDLERS: dict[str, Callable[[Server, dict[str, Any]], Answer]] = {
    "fetch": Server._fetch,
    "drop": Server._drop,
    "keys": Server._keys,
    "exits": Server._exits,
    "forget": Server._forget,
    "status": Server._status,
    "upgrade": Server._upgrade,
    "stop": Server._stop,
}


def _last_line(path: str) -> str:
    """Of a log: why a child does not start."""
    return "".join(last_lines(path, 1)) or "its log says nothing"
