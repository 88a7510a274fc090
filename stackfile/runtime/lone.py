"""A shim whose supervisor has died: it looks for the next one, to which it gives what must survive itself.

The daemon starts that one at once. Where the daemon has died too, the shim does so after a while, for otherwise nobody
would restart what it runs; without containers it ends.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

from stackfile.errors import StackfileError
from stackfile.runtime.loop import Loop
from stackfile.supervisor.presence import Presence, launch

_PATIENCE = 2.0
"""Seconds for which the daemon may have to start one."""
_LOOK, _LATE_LOOK = 0.02, 0.25
"""Seconds between two looks, while one may come at any moment and later."""
_LONGEST = 60.0
"""Seconds between attempts, at most: each takes twice as long to come as the one before."""


class Lone:
    """Follows the supervisor, from one to the next."""

    def __init__(
        self,
        loop: Loop,
        presence: Presence,
        settings: Mapping[str, str],
        *,
        needed: Callable[[], bool],
        hand_over: Callable[[], None],
    ) -> None:
        """`settings` are the variables that a supervisor is started with; `needed` says whether anything runs."""
        self._loop = loop
        self._presence = presence
        self._settings = settings
        self._needed = needed
        self._hand_over = hand_over
        self._pause = 0.0
        self._due = 0.0
        self._starter = 0

    def begin(self) -> None:
        """Follow the one that has started us."""
        if not self._found():
            self._lost()

    def _found(self) -> bool:
        if not self._presence.find():
            return False
        self._loop.add(self._presence.fileno(), lambda _: self._lost())
        return True

    def _lost(self) -> None:
        if self._presence.fileno() >= 0:
            self._loop.remove(self._presence.fileno())
            self._presence.close()
        self._pause = _PATIENCE
        self._due = time.monotonic() + self._pause
        self._look()

    def _look(self) -> None:
        """Take the one that has come, or look again a little later."""
        if self._again():
            self._loop.later(_LOOK if self._pause == _PATIENCE or self._starter else _LATE_LOOK, self._look)

    def _again(self) -> bool:
        if self._starter and os.waitpid(self._starter, os.WNOHANG)[0]:
            self._starter = 0
        if self._found():
            return self._handed_over()
        if time.monotonic() > self._due and not self._starter:
            if not self._needed():
                self._loop.stop()
                return False
            print("shim: no supervisor comes: starting one", file=sys.stderr, flush=True)
            self._starter = launch(self._settings)
            self._pause = min(self._pause * 2, _LONGEST)
            self._due = time.monotonic() + self._pause
        return True

    def _handed_over(self) -> bool:
        try:
            self._hand_over()
        except StackfileError as error:
            print(f"shim: not handed over: {error}", file=sys.stderr, flush=True)
            self._loop.remove(self._presence.fileno())
            return True
        return bool(self._starter)
