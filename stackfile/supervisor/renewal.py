"""After an upgrade the children are those of the old version: replaced one after the other, so that nobody notices.

No two of different versions talk to each other, but for the resolver, which answers until the new daemon can feed its
successor. Containers, which are the supervisor's while there is no shim, go to the next shim as if the first had died.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from stackfile.supervisor.children import Child

_PATIENCE = {"daemon": 30.0}
"""Seconds that a child has to end by itself, where not 10: requests under way are finished."""


class Renewal:
    """The steps. `advance` is called whenever something has happened, and at least every 0.1 s."""

    def __init__(self, children: Mapping[str, Child]) -> None:
        self._children = children
        self._late: dict[str, float] = {}
        self._steps = self._run()
        self.done = False

    def advance(self) -> None:
        """Do what can be done now."""
        now = time.monotonic()
        for name, when in list(self._late.items()):
            child = self._children[name]
            if not child.pid:
                del self._late[name]
            elif now > when:
                child.kill()
        try:
            next(self._steps)
        except StopIteration:
            self.done = True

    def _run(self) -> Iterator[None]:
        shim, resolver, daemon, worker = (self._children[name] for name in ("shim", "resolver", "daemon", "worker"))
        yield from self._end(worker, daemon)
        yield from self._end(shim)
        yield from self._begin(shim, daemon)
        yield from self._end(resolver)
        yield from self._begin(resolver)
        worker.recall()

    def _end(self, *children: Child) -> Iterator[None]:
        for child in children:
            child.dismiss()
            self._late[child.name] = time.monotonic() + _PATIENCE.get(child.name, 10.0)
        yield from _until(lambda: not any(child.pid for child in children))

    def _begin(self, *children: Child) -> Iterator[None]:
        for child in children:
            child.recall()
        yield from _until(lambda: all(child.ready for child in children))


def _until(fulfilled: Callable[[], bool]) -> Iterator[None]:
    while not fulfilled():
        yield
