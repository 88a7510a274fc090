"""The life of a worker: become the caller, run the command line, say how it ended."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from stackfile.cli import terminal
from stackfile.kernel import seqpacket
from stackfile.kernel.syscalls import PR_SET_PDEATHSIG, close_from, prctl
from stackfile.worker import protocol
from stackfile.worker.caller import Caller
from stackfile.worker.protocol import CommandLine, Hello

_COMMAND_LIMIT = 32 * 1024 * 1024
"""Longest command with its environment, bytes; execve(2) takes less."""
_CONNECTION, _COMMAND, _GRANT = 3, 4, 5
"""Descriptors of a worker, after the caller's 0 to 2."""
_ASIDE = 16
"""Above all of them."""


class Vanished(BaseException):
    """The client is gone: end as a killed process would, but for what must be put back."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command that was taken. `grant` is readable when the terminal may be read; -1 where stdin is none."""

    hello: Hello
    caller: Caller
    connection: socket.socket
    fds: Sequence[int]
    grant: int


def hand_over(channel: socket.socket, request: Request) -> None:
    """Give a command to the worker at the other end. Raises OSError."""
    hello, caller = request.hello, request.caller
    message = [hello.umask, hello.terminal, caller.pid, caller.uid, caller.gid, caller.groups]
    grant = [request.grant] if request.grant >= 0 else []
    seqpacket.send(channel, json.dumps(message).encode(), [request.connection.fileno(), *request.fds, *grant])


def receive(channel: socket.socket) -> Request | None:
    """Wait for a command; None when there will be none."""
    data, fds = seqpacket.receive(channel)
    channel.close()
    if not data:
        return None
    umask, is_terminal, pid, uid, gid, groups = json.loads(data)
    connection, *rest = fds
    return Request(
        Hello(umask, is_terminal),
        Caller(pid, uid, gid, tuple(groups)),
        socket.socket(fileno=connection),
        rest[: protocol.FDS],
        rest[protocol.FDS] if is_terminal else -1,
    )


def run(request: Callable[[], Request | None], parent: int, main: Callable[[list[str]], int]) -> NoReturn:
    """All that a forked child does. `parent` is the zygote; signals are blocked until we are the caller."""
    try:
        found = request()
        if found is not None:
            _serve(found, parent, main)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _serve(request: Request, parent: int, main: Callable[[list[str]], int]) -> None:
    """Run the command and end this process."""
    try:
        code, connection = _attempt(request, parent, main)
        # The client leaves as soon as it knows the code.
        signal.signal(protocol.VANISHED, signal.SIG_IGN)
    except Vanished:
        os._exit(128 + signal.SIGHUP)
    try:
        connection.send(protocol.EXITED + bytes((code & 0xFF,)))
    except OSError:
        pass  # the client has gone
    os._exit(code & 0xFF)


def _attempt(request: Request, parent: int, main: Callable[[list[str]], int]) -> tuple[int, socket.socket]:
    """(exit code, connection). Raises Vanished."""
    connection, code = request.connection, 1
    try:
        connection = _become(request, parent)
        code = _run(main)
    except Vanished:
        raise
    except BaseException:
        # A mistake of ours, or a caller that cannot be taken on.
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # nobody reads it
    return code, connection


def _become(request: Request, parent: int) -> socket.socket:
    """Take the caller's place. Returns the connection at its new number. Raises OSError, ValueError."""
    os.setsid()
    command, here, *stdio = request.fds
    os.fchdir(here)
    connection, grant = _arrange(request, stdio, command)
    request.caller.become()
    # After the change of uid, which clears it: without the zygote no signal reaches us.
    prctl(PR_SET_PDEATHSIG, protocol.VANISHED)
    if os.getppid() != parent:
        raise Vanished
    os.umask(request.hello.umask)
    line = protocol.parse_command(os.pread(_COMMAND, _COMMAND_LIMIT, 0))
    os.close(_COMMAND)
    _take_environment(line)
    _open_streams(request.hello.terminal)
    if request.hello.terminal:
        terminal.gate = Gate(connection, grant, request.caller.pid)
    _reset_signals()
    return connection


def _arrange(request: Request, stdio: Sequence[int], command: int) -> tuple[socket.socket, int]:
    """Descriptors 0 to 2 are the caller's, then the connection, the command and the grant; no other stays open.

    Returns the connection at its new number, and the grant (-1 without a terminal).
    """
    wanted = [*stdio, request.connection.fileno(), command, *([request.grant] if request.grant >= 0 else ())]
    lifted = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ASIDE) for fd in wanted]
    request.connection.detach()
    for number, fd in enumerate(lifted):
        os.dup2(fd, number, inheritable=number < _CONNECTION)
    close_from(len(wanted))
    return socket.socket(fileno=_CONNECTION), _GRANT if request.grant >= 0 else -1


def _take_environment(line: CommandLine) -> None:
    os.environ.clear()
    for name, value in line.environment.items():
        os.environb[name] = value
    time.tzset()
    sys.argv = [os.fsdecode(line.typed), *map(os.fsdecode, line.arguments)]


def _run(main: Callable[[list[str]], int]) -> int:
    try:
        return main(sys.argv[1:])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


# ---- signals


def _reset_signals() -> None:
    """As in a fresh interpreter, besides the one that says that the client is gone."""
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(protocol.VANISHED, _vanished)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _vanished(number: int, frame: FrameType | None) -> None:
    raise Vanished


# ---- streams


class Gate:
    """Stands in front of the terminal: reads wait until the client says that its group is in the foreground."""

    def __init__(self, connection: socket.socket, grant: int, client: int) -> None:
        self._connection = connection
        self._grant = grant
        self._client = client
        self._readers = 0

    def enter(self) -> bool:
        """Wait for the grant. False: the terminal never can be read (EIO in a process of its own)."""
        if self._readers == 0:
            self._connection.send(protocol.WANTS_TERMINAL)
            if os.read(self._grant, 1) != protocol.GRANT:
                return False
        self._readers += 1
        return True

    def leave(self) -> None:
        self._readers -= 1
        if self._readers == 0:
            try:
                self._connection.send(protocol.LEAVES_TERMINAL)
            except OSError:
                pass  # the client has gone

    def is_open(self) -> bool:
        try:
            with open(f"/proc/{self._client}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] not in (b"T", b"t")
        except OSError:
            return True  # it has gone, which ends us


class _Terminal(io.FileIO):
    """stdin, where it is a terminal: `input()` and the like pass the gate too."""

    def readinto(self, buffer: bytearray) -> int | None:  # type: ignore[override]
        with terminal.reading() as allowed:
            return super().readinto(buffer) if allowed and terminal.wait_until_readable() else 0


def _open_streams(is_terminal: bool) -> None:
    raw = _Terminal(0, "r", closefd=False) if is_terminal else io.FileIO(0, "r", closefd=False)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8", errors="strict")
    sys.stdout = _writer(1, "strict", line_buffering=os.isatty(1))
    sys.stderr = _writer(2, "backslashreplace", line_buffering=True)


def _writer(number: int, errors: str, *, line_buffering: bool) -> io.TextIOWrapper:
    binary = io.BufferedWriter(io.FileIO(number, "w", closefd=False))
    return io.TextIOWrapper(binary, encoding="utf-8", errors=errors, line_buffering=line_buffering)
