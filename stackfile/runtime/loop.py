"""The shim's event loop: epoll, callbacks, and a tick for what has to be tried again."""

from __future__ import annotations

import select
import time
import traceback
from collections.abc import Callable
from functools import partial

_TICK = 0.02

Callback = Callable[[int], None]
"""Receives the epoll events."""


class Loop:
    """One thread, level-triggered. Every callback does a bounded amount of work."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._ticks: list[Callable[[], bool]] = []
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._stopped = False

    def add(self, fd: int, callback: Callback, events: int = select.EPOLLIN) -> None:
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forget a descriptor; the caller closes it. Harmless when it is not known."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def every_tick(self, callback: Callable[[], bool]) -> None:
        """Call back every 20 ms until it returns False."""
        self._ticks.append(callback)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once, after that time."""
        self._timers.append((time.monotonic() + seconds, callback))

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        while not self._stopped:
            for fd, events in self._epoll.poll(self._pause()):
                callback = self._callbacks.get(fd)  # an earlier callback may have removed it
                if callback is not None:
                    self._guarded(partial(callback, events))
            if self._ticks:
                self._ticks = [tick for tick in self._ticks if tick()]
            if self._timers:
                self._ring()

    def _pause(self) -> float:
        """Seconds until something is due; -1 for never."""
        if self._ticks:
            return _TICK
        return max(0.0, min(when for when, _ in self._timers) - time.monotonic()) if self._timers else -1

    def _ring(self) -> None:
        now = time.monotonic()
        due = [callback for when, callback in self._timers if when <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for callback in due:
            self._guarded(callback)

    @staticmethod
    def _guarded(callback: Callable[[], None]) -> None:
        """A fault in one container's handling must not reach the others: it is written to the log."""
        try:
            callback()
        except Exception:
            traceback.print_exc()

    def close(self) -> None:
        self._epoll.close()
