"""A container's streams: FIFOs or a terminal on one side, log files on the other.

FIFOs are opened O_RDWR on the container's side, so that a container never gets SIGPIPE or blocks in open, and belong
to its user, so that /dev/stdout can be opened again. The supervisor holds one more end of everything, so that bytes
survive the shim.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from stackfile.errors import ConflictError
from stackfile.runtime.instructions import Account, Logs
from stackfile.runtime.logfile import LogWriter
from stackfile.runtime.loop import Loop

PIPE_SIZE = 1 << 20
_AT_ONCE = 1 << 20
_F_SETPIPE_SZ = 1031
_FIONREAD = 0x541B
_NONBLOCK = 2
_OUTPUTS = (1, 2)
_NAMES = {0: "stdin", 1: "stdout", 2: "stderr"}


def _make_fifo(path: str, account: Account) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    os.mkfifo(path, 0o600)
    os.chown(path, account.uid, account.gid)


def _widen(fd: int) -> None:
    try:
        fcntl.fcntl(fd, _F_SETPIPE_SZ, PIPE_SIZE)
    except PermissionError:
        pass  # beyond the user's share of pipe memory: the default of 64 KiB works as well


class Pump:
    """Moves what comes out of one descriptor to a log."""

    def __init__(self, loop: Loop, source: int, writer: LogWriter) -> None:
        self._loop = loop
        self._source = source
        self._writer = writer
        self.go_on()

    def go_on(self) -> None:
        """Move what comes, also after `hold`."""
        self._loop.add(self._source, self._ready)

    def hold(self) -> None:
        """Leave what comes where it is: who writes waits once the pipe is full."""
        self._loop.remove(self._source)

    def _ready(self, events: int) -> None:
        if events & select.EPOLLIN:
            self._writer.take(self._source, _AT_ONCE)
        else:
            # Nobody has the other side open any more; what is left is drained at the end.
            self._loop.remove(self._source)

    @property
    def kept(self) -> tuple[int, ...]:
        """What must survive this process."""
        return (self._source,)

    def drain(self) -> None:
        """Move what is there now (nobody who shares the pipe from elsewhere can keep this going)."""
        left = _readable(self._source)
        while left > 0:
            moved = self._writer.take(self._source, min(left, _AT_ONCE))
            if moved <= 0:
                return
            left -= moved

    def close(self) -> None:
        self._loop.remove(self._source)
        os.close(self._source)
        self._writer.close()


class TerminalPump:
    """Terminal master → pipe (which the supervisor also holds) → log: a file cannot be spliced to from a terminal."""

    def __init__(self, loop: Loop, master: int, pipe: tuple[int, int], writer: LogWriter) -> None:
        self._loop = loop
        self._master = master
        self._read, self._write = pipe
        self._writer = writer
        os.set_blocking(master, False)
        self.go_on()

    def go_on(self) -> None:
        """Move what comes, also after `hold`."""
        self._loop.add(self._master, self._ready)

    def hold(self) -> None:
        """Leave what comes where it is: who writes waits."""
        self._loop.remove(self._master)

    def _ready(self, events: int) -> None:
        if not self._move():
            self._loop.remove(self._master)

    def _move(self) -> bool:
        """One round; False at the end (EIO: no process has the terminal open)."""
        try:
            moved = os.splice(self._master, self._write, 1 << 16, flags=_NONBLOCK)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self._to_log()
        return moved > 0

    def _to_log(self) -> None:
        while _readable(self._read) and self._writer.take(self._read, _AT_ONCE) > 0:
            pass

    @property
    def kept(self) -> tuple[int, ...]:
        """What must survive this process, beside the terminal's master."""
        return (self._read, self._write)

    def drain(self) -> None:
        self._to_log()
        for _ in range(64):
            try:
                if not os.splice(self._master, self._write, 1 << 16, flags=_NONBLOCK):
                    break
            except OSError:
                break
            self._to_log()
        self._to_log()

    def close(self) -> None:
        self._loop.remove(self._master)
        for fd in (self._master, self._read, self._write):
            os.close(fd)
        self._writer.close()


def _readable(fd: int) -> int:
    room = bytearray(4)
    fcntl.ioctl(fd, _FIONREAD, room)
    return int.from_bytes(room, "little")


@dataclass
class Streams:
    """The shim's ends of a container's streams."""

    run_dir: str
    pumps: list[Pump | TerminalPump] = field(default_factory=list)
    master: int = -1
    stdin: int = -1
    """Write end of the stdin FIFO; -1 when stdin is not open."""
    _holds: dict[str, float] = field(default_factory=dict)
    """Who holds the output back, and until when (monotonic)."""

    def hold(self, by: str, seconds: float) -> None:
        """Move no output for so long, unless `by` says something else before; 0 lets it go on.

        A hold ends by itself, whatever became of who asked for it: no container waits for ever.
        """
        held = bool(self._holds)
        self._holds.pop(by, None)
        if seconds > 0:
            self._holds[by] = time.monotonic() + seconds
        if bool(self._holds) != held:
            for pump in self.pumps:
                pump.go_on() if held else pump.hold()

    def look_at_holds(self) -> None:
        """Those that are over by now are let go."""
        now = time.monotonic()
        for by in [by for by, until in self._holds.items() if until <= now]:
            self.hold(by, 0)

    def drain(self) -> None:
        for pump in self.pumps:
            pump.drain()

    def open_stdin(self) -> int:
        """A new, non-blocking write end. ConflictError when stdin is closed or nobody reads it."""
        if self.stdin < 0:
            raise ConflictError("conflict", "stdin of the container is not open")
        try:
            return os.open(f"{self.run_dir}/stdin", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ConflictError("not-running", "nobody reads the container's stdin") from error

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        """Close everything and remove the FIFOs."""
        for pump in self.pumps:
            pump.close()
        self.pumps.clear()
        self.master = -1
        self.close_stdin()
        for name in _NAMES.values():
            try:
                os.unlink(f"{self.run_dir}/{name}")
            except FileNotFoundError:
                continue


def make_outputs(run_dir: str, account: Account) -> tuple[list[int], list[int]]:
    """FIFOs for stdout and stderr: (read ends, the container's ends)."""
    readers: list[int] = []
    ends: list[int] = []
    try:
        for number in _OUTPUTS:
            path = f"{run_dir}/{_NAMES[number]}"
            _make_fifo(path, account)
            ends.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            readers.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            _widen(ends[-1])
    except OSError:
        for fd in (*readers, *ends):
            os.close(fd)
        raise
    return readers, ends


def open_outputs(run_dir: str) -> list[int]:
    """New read ends of a container's FIFOs; empty when they are gone."""
    readers: list[int] = []
    for number in _OUTPUTS:
        try:
            readers.append(os.open(f"{run_dir}/{_NAMES[number]}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except FileNotFoundError:
            continue
    if len(readers) != len(_OUTPUTS):
        for fd in readers:
            os.close(fd)
        return []
    return readers


def make_input(run_dir: str, account: Account) -> tuple[int, int]:
    """FIFO for stdin: (write end, the container's end)."""
    path = f"{run_dir}/stdin"
    _make_fifo(path, account)
    both = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # so that the others do not wait for each other
    try:
        reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC), reader
    finally:
        os.close(both)


def give(fds: Sequence[int], account: Account) -> None:
    """Pipes belong to the user of the process that gets them, so that it can open /dev/stdout again."""
    for fd in fds:
        if account.uid and stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.fchown(fd, account.uid, account.gid)


def pump_outputs(loop: Loop, readers: list[int], logs: Logs) -> list[Pump | TerminalPump]:
    return [Pump(loop, fd, LogWriter(logs, number)) for number, fd in zip(_OUTPUTS, readers, strict=True)]


def make_pipe() -> tuple[int, int]:
    """A non-blocking pipe between a terminal and its log."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _widen(write)
    return read, write
