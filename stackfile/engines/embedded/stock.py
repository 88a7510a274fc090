"""What every container needs and takes long to make, made ahead: network namespaces and cgroups.

A namespace in stock is descriptors of this process alone, and so ends with it; a cgroup in stock has a name of ours,
by which the next process finds it. While containers run or were started a moment ago the stock is kept full; when
nothing runs any more it is given up.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from stackfile import log
from stackfile.engines.embedded.background import spawn
from stackfile.engines.embedded.core import Core
from stackfile.errors import StackfileError
from stackfile.network.attachment import Wired

_LEAST, _MOST = 3, 12
"""How many of each are kept, depending on how many were asked for together."""
_PAUSE = 0.05
"""Seconds after a start before the stock is filled again: the start comes first."""
_IDLE = 1.5
"""Seconds for which it is kept when nothing runs any more."""
_LOG = log.get("stock")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network namespace with its veth pair on no bridge yet, and the sockets of its resolver (UDP, TCP)."""

    wired: Wired
    sockets: tuple[int, int]

    def close(self) -> None:
        self.wired.release()
        self.close_sockets()

    def close_sockets(self) -> None:
        for socket in self.sockets:
            os.close(socket)


class Stock:
    """The stock of one engine. `busy` says whether any container runs."""

    def __init__(self, core: Core, busy: Callable[[], bool]) -> None:
        self._core = core
        self._busy = busy
        self._namespaces: deque[Prepared] = deque()
        self._taken = 0
        self._wanted = _LEAST
        self._filling: asyncio.Task[None] | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._closed = False

    def namespace(self) -> Prepared | None:
        """One namespace; the caller owns it. None when there is none: then it makes its own."""
        self._taken += 1
        try:
            return self._namespaces.popleft()
        except IndexError:
            return None

    @property
    def links(self) -> set[str]:
        """The machine's ends of the pairs in stock."""
        return {prepared.wired.link for prepared in tuple(self._namespaces)}

    def replenish(self) -> None:
        """A container was started: fill up, in the background."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._filling is None and not self._closed:
            self._filling = spawn(self._fill(), "filling the stock")

    def rest_later(self) -> None:
        """A container has ended: give everything up unless another one runs or starts soon."""
        if self._resting is not None:
            self._resting.cancel()
        self._resting = asyncio.get_running_loop().call_later(_IDLE, self._rest)

    async def drain(self) -> None:
        """Give everything up now; containers that start later fill it again."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._filling is not None:
            self._wanted = 0
            await asyncio.wait({self._filling})
        await self._empty()

    async def close(self) -> None:
        """As `drain`, for good."""
        self._closed = True
        await self.drain()

    # ---- inside

    def _rest(self) -> None:
        self._resting = None
        if self._busy():
            return
        if self._filling is not None:
            self.rest_later()
            return
        spawn(self._empty(), "giving up the stock")

    async def _empty(self) -> None:
        await asyncio.to_thread(self._give_up)
        if self._filling is None:
            self._core.cgroups.remove_parent()

    async def _fill(self) -> None:
        try:
            await asyncio.sleep(_PAUSE)
            self._wanted = min(max(self._taken, self._wanted), _MOST) if self._wanted else 0
            self._taken = 0
            while len(self._namespaces) < self._wanted or self._lacks_groups():
                await asyncio.to_thread(self._make)
        except StackfileError as error:
            _LOG.warning("%s", error)
        finally:
            self._filling = None

    def _lacks_groups(self) -> bool:
        return self._core.cgroups.version == 1 and self._core.cgroups.spares < self._wanted

    def _make(self) -> None:
        if self._lacks_groups():
            self._core.cgroups.add_spare()
        if len(self._namespaces) >= self._wanted:
            return
        wired = self._core.network.wire()
        try:
            prepared = Prepared(wired, self._core.network.dns_sockets(wired.netns))
        except BaseException:
            wired.release()
            raise
        self._namespaces.append(prepared)

    def _give_up(self) -> None:
        self._wanted = _LEAST
        try:
            while True:
                self._namespaces.popleft().close()
        except IndexError:
            pass  # none is left: the loop may take some meanwhile
        self._core.cgroups.remove_spares()
