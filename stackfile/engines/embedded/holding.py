"""Back-pressure on a container, by a client that it was started for.

A container never waits for an onlooker: who attaches while it runs, or follows its log, and is overtaken by rotations
is cut off, or told what is missing. Who was there before the start (`run … | …`) is to lose nothing. What it has not
read yet is kept, and where that is more than a follower may keep on the disk, the container's output is held back: it
waits in write(2) once its pipes are full. A reader that is slow gets everything in this way; one that takes nothing
for `PATIENCE` seconds stands still: it loses that right, the container goes on, and the client is told what is gone.

The shim removes no file that such a client's follower has not opened (`runtime.logopened`), so that nothing is gone
before this process had a turn to ask for a hold.

The shim ends a hold after `_LEASE` seconds by itself, so a daemon that was killed or hangs stops no container.
"""

from __future__ import annotations

import asyncio
import time

from stackfile import log
from stackfile.engines.embedded.background import spawn
from stackfile.errors import NotFoundError, StackfileError
from stackfile.runtime.logs import LogFollower
from stackfile.runtime.shim_client import ShimClient

PATIENCE = 60.0
"""Seconds in which a client has to take something."""
_LEASE, _RENEWED = 5.0, 1.0
_LOOK = 0.02
_ENOUGH = 0.5
"""The part of what may be kept at which the container goes on."""
_LOG = log.get("holding")


class Holding:
    """Sees to it that what is kept for one client stays bounded."""

    def __init__(self, shim: ShimClient, container: str, by: str) -> None:
        """`by` is unique among a container's clients."""
        self._shim = shim
        self._container = container
        self._by = by
        self._task: asyncio.Task[None] | None = None

    def begin(self, follower: LogFollower) -> None:
        """Too much is kept: hold the container's output back until it is less, or the client stands still."""
        if self._task is None or self._task.done():
            self._task = spawn(self._hold(follower), f"holding back {self._container[:12]}")

    async def _hold(self, follower: LogFollower) -> None:
        renewed = 0.0
        try:
            while follower.overdue > _ENOUGH:
                if follower.standing_still > PATIENCE:
                    _LOG.warning("a client of %s stands still: it is not waited for", self._container[:12])
                    follower.give_up()
                    return
                if time.monotonic() - renewed > _RENEWED:
                    renewed = time.monotonic()
                    await self._ask(_LEASE)
                await asyncio.sleep(_LOOK)
        finally:
            if renewed:
                await self._ask(0)

    async def _ask(self, seconds: float) -> None:
        try:
            await self._shim.hold(self._container, self._by, seconds)
        except NotFoundError:
            return  # it has ended
        except StackfileError as error:
            _LOG.warning("%s is not held back: %s", self._container[:12], error)
