"""The shim as the daemon sees it (asyncio)."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stackfile import log
from stackfile.errors import ActionError, ConflictError, EngineError, KernelError, NotFoundError, StackfileError
from stackfile.kernel import memfd, seqpacket
from stackfile.runtime import codec
from stackfile.runtime.instructions import ExecInstructions, Instructions

_logger = log.get(__name__)
_CONNECT_TIMEOUT = 10.0
_CALL_TIMEOUT = 60.0
_REPLACEMENTS = 3
_ONCE = ("start", "exec", "signal")
"""Not asked again after a lost connection: nobody knows whether they were done."""
_CLASSES: dict[str, type[ActionError]] = {"conflict": ConflictError, "not-running": ConflictError}


@dataclass(frozen=True, slots=True)
class Running:
    """A live process: main (`exec_id` "") or exec. `start_time` is field 22 of /proc/<pid>/stat, in clock ticks."""

    container: str
    exec_id: str
    pid: int
    start_time: int
    terminal: int = -1
    """Master of the terminal of an exec that was started just now, where it has one."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process. `status` is Docker's code (0..255, 128+n for a signal).

    `known` is False where nobody saw the end; `reason` then says why and `status` means nothing. `oom` is True when
    the kernel killed something in the container's cgroup for lack of memory.
    """

    container: str
    exec_id: str
    pid: int
    status: int
    known: bool
    reason: str
    time_ns: int
    oom: bool


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The kernel has killed `kills` processes of a running container for lack of memory since it began."""

    container: str
    kills: int


class _NotSentError(EngineError):
    """The shim was gone before it got the message."""


class _LostError(EngineError):
    """The shim went away before it answered."""


class ShimClient:
    """A connection to the shim that outlives the shim: it reconnects, and exits are re-sent until acknowledged.

    What was killed for lack of memory is told before the end that it may have led to, and with every connection anew.
    Every call raises EngineError (`engine-unreachable`) when no shim answers, NotFoundError for an unknown container.
    """

    def __init__(
        self, path: str, on_exit: Callable[[Exit], None], on_oom: Callable[[OutOfMemory], None] = lambda _: None
    ) -> None:
        self._path = path
        self._on_exit = on_exit
        self._on_oom = on_oom
        self._socket: socket.socket | None = None
        self._calls: dict[int, asyncio.Future[tuple[Any, list[int]]]] = {}
        self._next = 0
        self._lock = asyncio.Lock()
        self._reconnecting: asyncio.Task[None] | None = None
        self._closed = False

    async def connect(self) -> None:
        """Connect, waiting up to 10 s for the socket. Unacknowledged exits arrive through `on_exit` from then on."""
        async with self._lock:
            if self._socket is not None:
                return
            loop = asyncio.get_running_loop()
            deadline = loop.time() + _CONNECT_TIMEOUT
            while True:
                try:
                    sock = seqpacket.connect(self._path)
                    break
                except OSError as error:
                    if loop.time() > deadline or self._closed:
                        raise EngineError(
                            "engine-unreachable", f"the shim at {self._path} does not answer", cause=str(error)
                        ) from error
                    await asyncio.sleep(0.01)
            sock.setblocking(False)
            self._socket = sock
            loop.add_reader(sock, self._readable, sock)

    async def close(self) -> None:
        """Leave the shim alone (containers run on)."""
        self._closed = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        self._disconnect(None)

    async def start(self, instructions: Instructions, netns_fd: int | None) -> Running:
        """Start a container; returns once its program was executed.

        Raises ActionError: `command-not-found` (Docker's 127), `command-not-executable` (126), `action-failed` naming
        step, syscall and path; ConflictError (`already-running`).
        """
        sealed = memfd.sealed("instructions", codec.encode(instructions))
        try:
            fds = [sealed] if netns_fd is None else [sealed, netns_fd]
            answer, _ = await self._call({"do": "start"}, fds)
        finally:
            os.close(sealed)
        return _running(answer)

    async def exec(self, instructions: ExecInstructions, stdio: Sequence[int]) -> Running:
        """Run one more program in a container; returns once it was executed.

        `stdio` are its descriptors 0, 1, 2; empty when the process has a terminal, whose master (non-blocking) comes
        with the answer and is the caller's to close. Errors as `start`; ConflictError (`not-running`).
        """
        sealed = memfd.sealed("instructions", codec.encode(instructions))
        try:
            answer, terminal = await self._call({"do": "exec"}, [sealed, *stdio])
        finally:
            os.close(sealed)
        return Running(*answer, *terminal)

    async def signal(self, container: str, number: int, exec_id: str = "") -> None:
        """Send a signal to the main process or to an exec. ConflictError (`not-running`)."""
        await self._call({"do": "signal", "container": container, "exec": exec_id, "number": number})

    async def running(self) -> list[Running]:
        """Every live process, main and exec."""
        answer, _ = await self._call({"do": "running"})
        return [_running(row) for row in answer]

    async def acknowledge(self, exit: Exit) -> None:  # noqa: A002
        """The exit is recorded: do not send it again."""
        await self._call({"do": "acknowledge", "container": exit.container, "exec": exit.exec_id, "pid": exit.pid})

    async def tty(self, container: str, exec_id: str = "") -> int:
        """A duplicate of the terminal's master (non-blocking; the caller closes it)."""
        _, fds = await self._call({"do": "tty", "container": container, "exec": exec_id})
        return fds[0]

    async def stdin(self, container: str) -> int:
        """A write end of the container's stdin FIFO (non-blocking; the caller closes it).

        ConflictError when the container has no open stdin.
        """
        _, fds = await self._call({"do": "stdin", "container": container})
        return fds[0]

    async def close_stdin(self, container: str) -> None:
        """Let go of the shim's write end: end of file for the container once the caller has closed its own."""
        await self._call({"do": "close_stdin", "container": container})

    async def hold(self, container: str, by: str, seconds: float) -> None:
        """Move no output of a container for so long, or until `by` asks again; 0 lets it go on at once.

        The container waits in write(2) once its pipes are full. A shim that takes over knows of no hold.
        """
        await self._call({"do": "hold", "container": container, "by": by, "seconds": seconds})

    async def release(self, container: str) -> None:
        """Forget a dead container: close and remove its FIFOs, drop what the supervisor holds. Idempotent."""
        await self._call({"do": "release", "container": container})

    # ---- connection

    async def _call(self, request: dict[str, Any], fds: Sequence[int] = ()) -> tuple[Any, list[int]]:
        """Ask; when the shim was replaced meanwhile, ask again what it never got or what may safely be asked twice."""
        for _ in range(_REPLACEMENTS):
            try:
                return await self._ask(request, fds)
            except _NotSentError:
                continue
            except _LostError:
                # Another call may have connected to the next shim already.
                if request["do"] in _ONCE:
                    raise
            except EngineError:
                if request["do"] in _ONCE or self._socket is not None:
                    raise
        return await self._ask(request, fds)

    async def _ask(self, request: dict[str, Any], fds: Sequence[int]) -> tuple[Any, list[int]]:
        await self.connect()
        sock = self._socket
        if sock is None:
            raise EngineError("engine-unreachable", f"the shim at {self._path} went away")
        self._next += 1
        number = self._next
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[Any, list[int]]] = loop.create_future()
        self._calls[number] = future
        try:
            async with asyncio.timeout(_CALL_TIMEOUT):
                await self._send(sock, json.dumps({**request, "id": number}).encode(), fds)
                return await future
        except TimeoutError as error:
            raise ActionError(
                "timeout",
                f"shim: {request['do']} took longer than {_CALL_TIMEOUT:g} s",
                hint="`stackfile daemon status` says how the engine's processes are",
            ) from error
        finally:
            self._calls.pop(number, None)
            if future.done() and not future.cancelled():
                future.exception()  # seen, though a failed send was raised in its place

    async def _send(self, sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
        while True:
            try:
                return seqpacket.send(sock, data, fds)
            except BlockingIOError:
                # The shim's queue is full: a writer callback would need the fds to stay open just the same.
                await asyncio.sleep(0.001)
            except OSError as error:
                self._disconnect(error)
                raise _NotSentError(
                    "engine-unreachable", f"the shim at {self._path} went away", cause=str(error)
                ) from error

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(64):
            try:
                data, fds = seqpacket.receive(sock)
            except BlockingIOError:
                return None
            except OSError as error:
                return self._disconnect(error)
            if not data:
                return self._disconnect(None)
            self._message(json.loads(data), fds)
        return None

    def _message(self, message: dict[str, Any], fds: list[int]) -> None:
        if "exit" in message:
            return self._on_exit(Exit(**message["exit"]))
        if "oom" in message:
            return self._on_oom(OutOfMemory(*message["oom"]))
        future = self._calls.get(message["id"])
        if future is None or future.done():
            for fd in fds:
                os.close(fd)
        elif "error" in message:
            future.set_exception(error_from(message["error"]))
        else:
            future.set_result((message["ok"], fds))
        return None

    def _disconnect(self, error: OSError | None) -> None:
        sock, self._socket = self._socket, None
        if sock is None:
            return
        asyncio.get_running_loop().remove_reader(sock)
        sock.close()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(
                    _LostError("engine-unreachable", "the shim went away", cause=str(error) if error else "")
                )
        if not self._closed:
            _logger.warning("lost the shim, connecting again")
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        while not self._closed:
            try:
                return await self.connect()
            except EngineError as error:
                _logger.warning("%s", error)
        return None


def _running(row: Sequence[Any]) -> Running:
    return Running(*row)


def error_from(plain: dict[str, Any]) -> StackfileError:
    """The typed error that the shim described."""
    reason, message, cause, hint = plain["reason"], plain["message"], plain.get("cause", ""), plain.get("hint", "")
    if reason == "not-found":
        return NotFoundError("container", message, cause=cause)
    if reason == "kernel":
        return KernelError(plain["errno"], message)
    kind = _CLASSES.get(reason, ActionError)
    return kind(reason, message, cause=cause, hint=hint, details=plain.get("details", {}))
