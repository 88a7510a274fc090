"""A live connection between our terminal (or pipes) and a process in a container: exec, container run.

The main thread writes output; a thread of its own sends stdin, because a process that waits for its output to be
read would otherwise wait for us while we wait for it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from stackfile.cli import terminal
from stackfile.cli.detach import KeyMatcher
from stackfile.errors import StackfileError, UsageError

if TYPE_CHECKING:
    from stackfile.api import Hijacked

CHUNK = 65536
PROXIED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that `container run` hands on to the container (docker run --sig-proxy)."""


class Session:
    """Copies both ways until the process ends its output.

    `resize(rows, columns)` is called at the start and whenever the terminal changes its size, with a TTY only.
    """

    def __init__(
        self,
        stream: Hijacked,
        *,
        stdin: bool,
        resize: Callable[[int, int], None],
        detach_keys: bytes,
    ) -> None:
        self._stream = stream
        self._stdin = stdin
        self._resize = resize
        self._keys = KeyMatcher(detach_keys) if stream.tty else None
        self._detached = False
        self._changed = self._telling = False

    def run(self) -> bool:
        """Returns True when the user detached, False when the output ended. The terminal is as before then."""
        with ExitStack() as undo:
            if self._stdin and not undo.enter_context(terminal.reading()):
                self._stdin = False
                self._stream.close_write()
            raw = self._stream.tty and self._stdin and terminal.is_terminal(terminal.STDIN)
            if raw:
                undo.enter_context(terminal.raw())
            if self._stream.tty:
                undo.enter_context(_handling({signal.SIGWINCH: self._resized}))
                self._resized()
            if self._stdin:
                undo.enter_context(self._sending())
            self._copy_output()
        return self._detached

    def _copy_output(self) -> None:
        while True:
            stream, data = self._stream.read()
            if not data:
                return
            _write(terminal.STDERR if stream == 2 else terminal.STDOUT, data)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """stdin → process beside. Woken by a pipe at the end, so that no key is read that is not ours any more."""
        reader, writer = os.pipe()
        thread = threading.Thread(target=self._send, args=(reader,), name="stdin", daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(writer)
            thread.join(1)
            if not thread.is_alive():
                os.close(reader)

    def _send(self, wake: int) -> None:
        # Signals belong to the main thread, which they shall wake.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            if not terminal.wait_until_readable(wake):
                return
            data = _read_stdin()
            if self._keys is not None and data:
                data, detach = self._keys.feed(data)
                if detach:
                    if data:
                        self._deliver(data)
                    self._detach()
                    return
                if not data:
                    continue
            elif self._keys is not None and (held := self._keys.rest()):
                self._deliver(held)
            if not self._deliver(data):
                return

    def _deliver(self, data: bytes) -> bool:
        """Send, or half-close at the end of stdin. False when there is nothing more to do."""
        if not data:
            self._stream.close_write()
            return False
        try:
            self._stream.send(data)
        except OSError:
            # The process is gone; its end arrives on the reading side.
            return False
        return True

    def _detach(self) -> None:
        """Let the main thread see the end of the output, though the process goes on."""
        self._detached = True
        with socket.socket(fileno=os.dup(self._stream.fileno())) as connection:
            connection.shutdown(socket.SHUT_RD)

    def _resized(self, number: int = 0, frame: FrameType | None = None) -> None:
        """A handler of signals: what changes while a request is under way is told by a request after it."""
        self._changed = True
        while self._changed and not self._telling:
            self._telling, self._changed = True, False
            try:
                rows, columns = terminal.size()
                if rows:
                    self._resize(rows, columns)
            except StackfileError:
                # It has just ended, or has not quite begun: then a size does not matter.
                pass
            finally:
                self._telling = False


@contextmanager
def proxied(send: Callable[[str], None]) -> Iterator[None]:
    """Hand signals on: `send` gets their names (SIGINT, …)."""

    def forward(number: int, frame: FrameType | None) -> None:
        try:
            send(signal.Signals(number).name)
        except StackfileError:
            # Not running any more, or not yet.
            pass

    with _handling(dict.fromkeys(PROXIED, forward)):
        yield


_Handler = Callable[[int, "FrameType | None"], None]


@contextmanager
def _handling(handlers: dict[signal.Signals, _Handler]) -> Iterator[None]:
    previous = [(number, signal.signal(number, handler)) for number, handler in handlers.items()]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def _read_stdin() -> bytes:
    try:
        return os.read(terminal.STDIN, CHUNK)
    except OSError:
        # The terminal is gone: its end.
        return b""


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def wants_tty(asked: bool, refused: bool, automatic: bool) -> bool:
    """Whether a command gets a TTY. Raises UsageError when it was asked for and stdin is none."""
    both = terminal.is_terminal(terminal.STDIN) and terminal.is_terminal(terminal.STDOUT)
    if asked and not terminal.is_terminal(terminal.STDIN):
        raise UsageError("usage", "the input device is not a TTY", hint="leave -t out")
    return not refused and (asked or (automatic and both))
