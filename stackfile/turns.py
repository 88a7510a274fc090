"""Turns at what one at a time may change: nobody waits for ever, or without being told for whom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from stackfile.errors import ActionError

FOR_EVER = float("inf")
PATIENCE = 600.0
"""Seconds to wait for a turn: longer than anything takes that gets on."""


class Turn:
    """A lock that knows what its holder does."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._doing = ""
        self._since = 0.0

    def locked(self) -> bool:
        return self._lock.locked()

    @asynccontextmanager
    async def take(
        self,
        what: str,
        doing: str,
        *,
        patience: float | None = None,
        told: Callable[[str], object] = lambda text: None,
    ) -> AsyncIterator[None]:
        """Have the turn at `what`, to do `doing` ("start", "step RUN make").

        Who has to wait hears for whom by `told`, and after `patience` seconds (PATIENCE, if nothing is said) gets an
        ActionError (`timeout`).
        """
        if self._lock.locked():
            told(f"waiting for {what}: {self._holder()}")
        limit = PATIENCE if patience is None else patience
        try:
            async with asyncio.timeout(None if limit == FOR_EVER else limit):
                await self._lock.acquire()
        except TimeoutError as error:
            raise ActionError(
                "timeout", f"{what} is busy: {doing} has waited {limit:g} s for its turn", cause=self._holder()
            ) from error
        self._doing, self._since = doing, time.monotonic()
        try:
            yield
        finally:
            self._lock.release()

    def _holder(self) -> str:
        return f"{self._doing} is under way since {time.monotonic() - self._since:.0f} s"
