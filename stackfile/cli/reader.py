"""Whoever reads our output from a pipe, and leaves: `logs -f | head -1` ends then, not with the next line."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from stackfile.cli.terminal import STDOUT

BROKEN_PIPE = 141
"""As the shell shows a program that SIGPIPE ended."""
_GRACE = 500
"""Milliseconds in which a command that is just writing finds out by itself."""


@contextmanager
def needed(live: bool = True) -> Iterator[None]:
    """While a stream is shown that may be silent for ever (`live`: it is one), and nothing would have to be put back.

    Once nobody reads stdout any more (poll(2), POLLERR) this process ends as SIGPIPE ends others. No exception: one
    from outside would arrive anywhere, in the closing of a generator too.
    """
    if not live or not _is_pipe():
        yield
        return
    done, finish = os.pipe()
    thread = threading.Thread(target=_watch, args=(done,), name="reader", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(finish)
        thread.join()
        os.close(done)


def _watch(done: int) -> None:
    poller = select.poll()
    poller.register(STDOUT, 0)  # errors are told in any case
    poller.register(done, select.POLLIN)
    if done in dict(poller.poll()):
        return
    poller.unregister(STDOUT)
    if not poller.poll(_GRACE):
        os._exit(BROKEN_PIPE)


def _is_pipe() -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(STDOUT).st_mode)
    except OSError:
        return False
