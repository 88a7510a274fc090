"""Deleting directories off the critical path: renamed away at once, removed by a thread soon after."""

from __future__ import annotations

import os
import secrets
import shutil
from concurrent.futures import Future, ThreadPoolExecutor

from stackfile import log

_LOG = log.get("trash")


class Trash:
    """What is discarded is gone from its place when `discard` returns; `close` waits until it is gone for good."""

    def __init__(self, directory: str) -> None:
        """`directory` must be on the same file system as what is discarded."""
        self._directory = directory
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="trash")
        self._work: set[Future[None]] = set()

    def discard(self, path: str) -> None:
        """Remove `path`; nothing happens when it is not there."""
        away = f"{self._directory}/trash-{secrets.token_hex(8)}"
        try:
            os.rename(path, away)
        except FileNotFoundError:
            return
        work = self._threads.submit(_delete, away)
        self._work.add(work)
        work.add_done_callback(self._work.discard)

    @property
    def pending(self) -> int:
        """Number of things that are still being deleted."""
        return sum(not work.done() for work in tuple(self._work))

    def close(self) -> None:
        self._threads.shutdown(wait=True)


def _delete(path: str) -> None:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, onerror=_unless_gone)
        else:
            os.unlink(path)
    except OSError as error:
        _LOG.warning("%s is not removed: %s", path, error)


def _unless_gone(_: object, __: str, caught: tuple[object, BaseException, object]) -> None:
    """Goes on where others delete too: who has begun at a part before the whole was renamed."""
    if not isinstance(caught[1], FileNotFoundError):
        raise caught[1]
