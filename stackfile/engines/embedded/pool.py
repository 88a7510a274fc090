"""Worker processes for what would block the loop: hashing, copying, archives.

Each is a clean interpreter on a pair of pipes, which refuses to work for another version than its own: after an upgrade
on disk it would be the new one's code that works for the engine of the old one. It ends when it is idle, when the pool
is closed, and (end of file) when this process dies, so that none is ever left over; nothing is inherited by fork.
"""

from __future__ import annotations

import errno
import pickle
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import IO, Any, ParamSpec, TypeVar

import stackfile
from stackfile.errors import ActionError, EngineError, StackfileError
from stackfile.refusals import no_process

P = ParamSpec("P")
T = TypeVar("T")

IDLE = 1.5
"""Seconds after which a worker without work ends."""
OTHER_VERSION = 76
"""Exit code of a worker that was started for another version than its own."""

_LENGTH = struct.Struct(">Q")
_LAST_BREATH = 0.5
"""Seconds that a worker whose pipe has ended has to end by itself."""


class WorkerPool(Executor):
    """At most `size` workers, started when there is work for them."""

    def __init__(self, size: int, idle: float = IDLE, bereaved: Callable[[int], None] = lambda _: None) -> None:
        """`bereaved` hears the pid of each worker that died at work; called in a thread."""
        self._size = size
        self._bereaved = bereaved
        self._idle_seconds = idle
        self._work: queue.SimpleQueue[tuple[Future[Any], bytes]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function of a module in a worker; arguments and result are pickled."""
        future: Future[T] = Future()
        payload = pickle.dumps((fn, args, kwargs))
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            if self._work.qsize() >= self._idle and self._threads < self._size:
                self._grow()
            self._work.put((future, payload))
        return future

    def _grow(self) -> None:
        """One thread more; those there are do without it. ActionError (`limit-reached`) when there is none."""
        try:
            threading.Thread(target=self._serve, daemon=True, name="worker").start()
        except RuntimeError as error:
            if not self._threads:
                raise no_process(error) from error
        else:
            self._threads += 1

    @property
    def busy(self) -> bool:
        """Whether any worker is at work, or work waits."""
        return self._threads > self._idle or not self._work.empty()

    @property
    def workers(self) -> int:
        """Worker processes there are now, idle ones among them."""
        return self._threads

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; workers end as soon as they are idle."""
        with self._lock:
            self._closed = True

    # ---- inside: one thread a worker

    def _serve(self) -> None:
        process: subprocess.Popen[bytes] | None = None
        try:
            while (item := self._next()) is not None:
                future, payload = item
                if not future.set_running_or_notify_cancel():
                    continue
                if process is not None and process.poll() is not None:
                    _end(process)
                    process = None
                try:
                    process = process or _start()
                except OSError as error:
                    future.set_exception(no_process(error) if error.errno == errno.EAGAIN else error)
                    continue
                _settle(future, process, payload, self._bereaved)
        finally:
            if process is not None:
                _end(process)

    def _next(self) -> tuple[Future[Any], bytes] | None:
        with self._lock:
            self._idle += 1
        while True:
            try:
                item = self._work.get(timeout=0.05 if self._closed else self._idle_seconds)
            except queue.Empty:
                with self._lock:
                    if self._work.empty():
                        self._idle -= 1
                        self._threads -= 1
                        return None
                continue
            with self._lock:
                self._idle -= 1
            return item


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-I", "-m", "stackfile.engines.embedded.pool_worker", stackfile.__version__]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.close()
    except BrokenPipeError:
        pass  # it died with a message half sent
    process.stdout.close()
    process.wait()


def _settle(
    future: Future[Any], process: subprocess.Popen[bytes], payload: bytes, bereaved: Callable[[int], None]
) -> None:
    """Have the worker do it; its death is an error of that one piece of work."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        write(process.stdin, payload)
        answer = read(process.stdout)
    except (OSError, EOFError) as error:
        bereaved(process.pid)
        future.set_exception(_death(process, error))
        return
    good, value = pickle.loads(answer)
    if good:
        future.set_result(value)
    else:
        kind, arguments, state = value
        failure = kind.__new__(kind, *arguments)
        failure.__dict__.update(state)
        future.set_exception(failure)


def _death(process: subprocess.Popen[bytes], error: Exception) -> StackfileError:
    """Why a worker that does not answer any more died; it has after this."""
    try:
        process.wait(_LAST_BREATH)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode != OTHER_VERSION:
        return ActionError("internal", "a worker process died", cause=str(error))
    return EngineError(
        "engine-incompatible",
        f"the installed version is not {stackfile.__version__} any more, which this engine is",
        hint="any command of the installed version has the engine become that version; containers run on",
    )


def write(pipe: IO[bytes], data: bytes) -> None:
    """One message: its length, then itself."""
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def read(pipe: IO[bytes]) -> bytes:
    """The next message. Raises EOFError at the end."""
    header = pipe.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        raise EOFError("end of the pipe")
    size: int = _LENGTH.unpack(header)[0]
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError("end of the pipe in a message")
    return data
