"""The shim: `python -I -m stackfile.runtime.shim --ready-fd N`, parent of every container.

A small, single-threaded, fully imported process that forks, moves output to logs and reports ends. It serves
RUN/shim.sock (root only). Requests carry an `id`, answers too; ends are pushed.

request   {"id": 1, "do": "start"|"exec"|…, …} with descriptors: the sealed instructions, then netns or stdio
answer    {"id": 1, "ok": …} or {"id": 1, "error": {"reason", "message", "cause", "hint", "details"}}
push      {"exit": {…}} and {"oom": [container, processes killed since it began]}
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from stackfile import log, settings
from stackfile.errors import KernelError, StackfileError
from stackfile.kernel import memfd, seqpacket, syscalls
from stackfile.paths import RunPaths
from stackfile.refusals import refusal
from stackfile.runtime import codec
from stackfile.runtime.containers import Child, Containers
from stackfile.runtime.instructions import ExecInstructions, Instructions
from stackfile.runtime.lone import Lone
from stackfile.runtime.loop import Loop
from stackfile.runtime.records import ExitRow
from stackfile.supervisor.client import Supervisor
from stackfile.supervisor.presence import Presence, announce

_BURST = 16
"""Messages handled a wake-up, so that no client keeps the others waiting."""


class Client:
    """A connected daemon. What cannot be sent at once waits in order."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop = loop
        self.socket = sock
        self._waiting: deque[tuple[bytes, list[int]]] = deque()

    def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send; descriptors are duplicated when they have to wait."""
        data = json.dumps(message).encode()
        if not self._waiting and self._try(data, fds):
            return
        self._waiting.append((data, [os.dup(fd) for fd in fds]))
        self._loop.change(self.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def flush(self) -> None:
        while self._waiting:
            data, fds = self._waiting[0]
            if not self._try(data, fds):
                return
            self._waiting.popleft()
            for fd in fds:
                os.close(fd)
        self._loop.change(self.socket.fileno(), select.EPOLLIN)

    def _try(self, data: bytes, fds: Sequence[int]) -> bool:
        try:
            seqpacket.send(self.socket, data, fds)
        except BlockingIOError:
            return False
        except OSError:
            pass  # it hung up; its end is read next
        return True

    def close(self) -> None:
        self._loop.remove(self.socket.fileno())
        self.socket.close()
        for _, fds in self._waiting:
            for fd in fds:
                os.close(fd)


class Shim:
    """Requests from daemons to Containers, answers and ends back."""

    def __init__(self, given: settings.Settings) -> None:
        paths = RunPaths(given.run)
        self._loop = Loop()
        self._clients: dict[int, Client] = {}
        self._containers = Containers(
            self._loop, Supervisor(paths.supervisor), paths.root, self._report, self._report_killed
        )
        self._containers.adopt()
        Lone(
            self._loop,
            Presence(paths.supervisor),
            given.environment(),
            needed=lambda: bool(self._containers.running()),
            hand_over=self._containers.hand_over,
        ).begin()
        self._listener = seqpacket.listen(paths.shim)
        self._listener.setblocking(False)
        self._loop.add(self._listener.fileno(), self._accept)
        wake, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._loop.add(wake, lambda _: self._told_to_end(wake))
        signal.set_wakeup_fd(self._wake)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def run(self) -> None:
        """Serve until SIGTERM. Containers run on; a new shim takes them over."""
        gc.collect()
        gc.freeze()  # children share these pages; a collection would copy them
        self._loop.run()

    def _told_to_end(self, wake: int) -> None:
        os.read(wake, 4096)
        self._loop.stop()

    def _accept(self, events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        if seqpacket.peer_uid(sock) != 0:
            sock.close()
            return
        sock.setblocking(False)
        seqpacket.widen(sock, 1 << 20)
        client = Client(self._loop, sock)
        self._clients[sock.fileno()] = client
        self._loop.add(sock.fileno(), lambda events: self._readable(client, events))
        for identity, kills in self._containers.killed().items():
            client.send({"oom": [identity, kills]})
        for row in self._containers.unacknowledged():
            client.send({"exit": asdict(row)})

    def _readable(self, client: Client, events: int) -> None:
        if events & select.EPOLLOUT:
            client.flush()
        for _ in range(_BURST):
            try:
                data, fds = seqpacket.receive(client.socket)
            except BlockingIOError:
                return None
            except OSError:
                data, fds = b"", []
            if not data:
                del self._clients[client.socket.fileno()]
                return client.close()
            self._request(client, json.loads(data), fds)
        return None

    def _request(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        try:
            handler = _HANDLERS[request["do"]]
            handler(self, client, request, fds)
        except StackfileError as error:
            client.send({"id": request["id"], "error": _plain(error)})
        except OSError as error:
            known = refusal(error) or KernelError(error.errno or 0, str(request["do"]), str(error.filename or ""))
            client.send({"id": request["id"], "error": _plain(known)})
        except Exception as error:
            traceback.print_exc()
            described = {"reason": "internal", "message": f"shim: {request.get('do')}", "cause": repr(error)}
            client.send({"id": request.get("id", 0), "error": described})
        finally:
            for fd in fds:
                os.close(fd)

    def _report(self, row: ExitRow) -> None:
        for client in self._clients.values():
            client.send({"exit": asdict(row)})

    def _report_killed(self, identity: str, kills: int) -> None:
        for client in self._clients.values():
            client.send({"oom": [identity, kills]})

    # ---- handlers

    def _start(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        given = codec.decode(memfd.content(fds[0]), Instructions)
        netns = fds[1] if len(fds) > 1 else -1
        self._containers.start(given, netns, self._answer(client, request))

    def _exec(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        given = codec.decode(memfd.content(fds[0]), ExecInstructions)
        self._containers.exec(given, fds[1:], self._answer(client, request))

    def _answer(self, client: Client, request: dict[str, Any]) -> Callable[[Child | StackfileError], None]:
        def done(result: Child | StackfileError) -> None:
            if client.socket.fileno() < 0:
                return  # it hung up meanwhile
            if isinstance(result, StackfileError):
                client.send({"id": request["id"], "error": _plain(result)})
            else:
                # The terminal goes along: a command may have ended, and be forgotten, before one could ask for it.
                terminal = [result.master] if result.master >= 0 else []
                client.send({"id": request["id"], "ok": _row(result)}, terminal)

        return done

    def _signal(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        self._containers.signal(request["container"], request["exec"], request["number"])
        client.send({"id": request["id"], "ok": None})

    def _running(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        client.send({"id": request["id"], "ok": [_row(child) for child in self._containers.running()]})

    def _acknowledge(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        self._containers.acknowledge(request["container"], request["exec"])
        client.send({"id": request["id"], "ok": None})

    def _tty(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        master = self._containers.terminal(request["container"], request["exec"])
        client.send({"id": request["id"], "ok": None}, [master])

    def _stdin(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        writer = self._containers.open_stdin(request["container"])
        try:
            client.send({"id": request["id"], "ok": None}, [writer])
        finally:
            os.close(writer)

    def _close_stdin(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        self._containers.close_stdin(request["container"])
        client.send({"id": request["id"], "ok": None})

    def _hold(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        self._containers.hold(request["container"], request["by"], request["seconds"])
        client.send({"id": request["id"], "ok": None})

    def _release(self, client: Client, request: dict[str, Any], fds: list[int]) -> None:
        self._containers.release(request["container"])
        client.send({"id": request["id"], "ok": None})


_HANDLERS: dict[str, Callable[[Shim, Client, dict[str, Any], list[int]], None]] = {
    "start": Shim._start,
    "exec": Shim._exec,
    "signal": Shim._signal,
    "running": Shim._running,
    "acknowledge": Shim._acknowledge,
    "tty": Shim._tty,
    "stdin": Shim._stdin,
    "close_stdin": Shim._close_stdin,
    "hold": Shim._hold,
    "release": Shim._release,
}


def _row(child: Child) -> list[Any]:
    return [child.container.row.container, child.exec_id, child.pid, child.start_time]


def _plain(error: StackfileError) -> dict[str, Any]:
    return {
        "reason": error.reason,
        "message": error.message,
        "cause": error.cause,
        "hint": error.hint,
        "details": error.details,
        "errno": getattr(error, "errno", 0),
    }


def main(arguments: Sequence[str]) -> int:
    """Run the shim; `--ready-fd N` is written to once it serves."""
    syscalls.set_process_name("stackfile-shim")
    log.unfailing()
    os.environ.pop("PYTHONPATH", None)
    shim = Shim(settings.load())
    if announce(int(arguments[1]) if arguments[:1] == ["--ready-fd"] else -1):
        shim.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
