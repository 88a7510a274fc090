"""Whoever reads our output from a pipe, and leaves: `logs -f | head -1` ends then, not with the next line."""

from __future__ import annotations

import os
import select
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stackfile.cli.terminal import STDOUT


class ReaderLeft(BaseException):
    """Nobody reads stdout any more. No OSError, which a connection that is waited on would take for its own."""


@contextmanager
def needed(live: bool = True) -> Iterator[None]:
    """While a stream is shown that is silent for a while, perhaps for ever (`live`: it is).

    Raises ReaderLeft once nobody reads stdout any more: poll(2), POLLERR.
    """
    if not live or not _is_pipe() or threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    thread = threading.Thread(target=_watch, args=(reader, threading.get_ident()), name="reader", daemon=True)
    previous = signal.signal(signal.SIGPIPE, _left)
    try:
        thread.start()
        yield
    finally:
        os.close(writer)
        thread.join()
        os.close(reader)
        signal.signal(signal.SIGPIPE, previous)


def _watch(wake: int, waiting: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    poller = select.poll()
    poller.register(STDOUT, 0)  # errors are told in any case
    poller.register(wake, select.POLLIN)
    if wake not in dict(poller.poll()):
        signal.pthread_kill(waiting, signal.SIGPIPE)


def _left(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    raise ReaderLeft


def _is_pipe() -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(STDOUT).st_mode)
    except OSError:
        return False
