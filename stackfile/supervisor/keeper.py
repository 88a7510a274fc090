"""The supervisor as the daemon sees it: one that dies is replaced, and gets back what it held for the daemon."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from stackfile import log
from stackfile.supervisor.client import Supervisor
from stackfile.supervisor.presence import launch

_LOG = log.get(__name__)
_SHIM = ("stdio", "stdin", "tty")
"""Kinds of keys that the shim keeps itself."""
_PATIENCE = 10.0
"""Seconds in which another supervisor has to answer."""
_START = 3.0
"""Seconds after which one that was started is looked for again."""
_PAUSE = 0.005


class Keeper(Supervisor):
    """Keeps duplicates of all that it has the supervisor hold, and of what it finds there (`recover`).

    So a reserved port stays reserved, and a namespace stays, while there is no supervisor. A call then starts another
    one and waits for it, about 0.2 s: nothing that is under way fails.
    """

    def __init__(self, path: str, settings: Mapping[str, str]) -> None:
        """`settings` are the variables that a supervisor is started with."""
        super().__init__(path)
        self._settings = settings
        self._kept: dict[str, list[int]] = {}
        self._reviving = False

    def recover(self) -> None:
        """Keep what an earlier daemon has had held."""
        for key in self.keys():
            if key.partition("/")[0] not in _SHIM:
                self._keep(key, self.fetch(key))

    def hold(self, key: str, fds: Sequence[int]) -> None:
        self._keep(key, [os.dup(fd) for fd in fds])
        super().hold(key, fds)

    def drop(self, *prefixes: str) -> None:
        for key in list(self._kept):
            if any(key == prefix or key.startswith(f"{prefix}/") for prefix in prefixes):
                self._keep(key, [])
        super().drop(*prefixes)

    def revive(self) -> None:
        """Have a supervisor again, which holds everything. Raises EngineError (`engine-unreachable`)."""
        self.close()
        self._reviving = True
        try:
            self._await()
            for key, fds in self._kept.items():
                super().hold(key, fds)
        finally:
            self._reviving = False

    def let_go(self) -> None:
        """Close the connection and the duplicates."""
        self.close()
        for key in list(self._kept):
            self._keep(key, [])

    # ---- inside

    def _keep(self, key: str, fds: list[int]) -> None:
        for fd in self._kept.pop(key, []):
            os.close(fd)
        if fds:
            self._kept[key] = fds

    def _lost(self) -> None:
        if not self._reviving:
            self.revive()

    def _await(self) -> None:
        """Until one answers: the one that is there, or else another one."""
        deadline = time.monotonic() + _PATIENCE
        again = 0.0
        while True:
            try:
                self._connected()
                return
            except OSError as error:
                now = time.monotonic()
                if now > deadline:
                    raise self._unreachable(error) from error
            if now >= again:
                _LOG.warning("the supervisor is gone: starting another one")
                # It has nothing to say: where it finds another one that has begun meanwhile, that one is as good.
                os.waitpid(launch(self._settings), 0)
                again = time.monotonic() + _START
            time.sleep(_PAUSE)
