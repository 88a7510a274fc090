"""One inotify instance for all followers of an event loop (a user may have 128 of them)."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

from stackfile.errors import KernelError
from stackfile.kernel import inotify

_APPEARED = inotify.MOVED_TO | inotify.CREATE
_MASK = inotify.MODIFY | _APPEARED

Wake = Callable[[bool], None]
"""Called with whether there is a file of a new name, and not only more in one that was there."""

_watchers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Watcher] = weakref.WeakKeyDictionary()


class Watcher:
    """Calls back when something in a watched directory changed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._inotify = inotify.Inotify()
        self._waiting: dict[int, list[Wake]] = {}
        loop.add_reader(self._inotify.fd, self._readable)

    def add(self, path: str, wake: Wake) -> int:
        """Raises KernelError when the directory cannot be watched (the limit of watches is reached)."""
        watch = self._inotify.add(path, _MASK)
        self._waiting.setdefault(watch, []).append(wake)
        return watch

    def remove(self, watch: int, wake: Wake) -> None:
        callbacks = self._waiting.get(watch, [])
        if wake in callbacks:
            callbacks.remove(wake)
        if watch in self._waiting and not callbacks:
            del self._waiting[watch]
            try:
                self._inotify.remove(watch)
            except KernelError:
                pass  # the directory is gone, and the watch with it
        if not self._waiting:
            self._close()

    def _readable(self) -> None:
        changes = self._inotify.read()
        woken: dict[int, bool] = {}
        if any(change.mask & inotify.OVERFLOW for change in changes):
            woken = dict.fromkeys(self._waiting, True)
        for change in changes:
            woken[change.watch] = woken.get(change.watch, False) or bool(change.mask & _APPEARED)
        for watch, appeared in woken.items():
            for wake in tuple(self._waiting.get(watch, ())):
                wake(appeared)

    def _close(self) -> None:
        _watchers.pop(self._loop, None)
        self._loop.remove_reader(self._inotify.fd)
        self._inotify.close()


def watcher() -> Watcher:
    """The watcher of the running loop. Raises KernelError when there can be no more instances."""
    loop = asyncio.get_running_loop()
    found = _watchers.get(loop)
    if found is None:
        found = _watchers[loop] = Watcher(loop)
    return found
