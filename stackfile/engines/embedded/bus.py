"""The one bus of events: stored sequence numbers, followed without gap or double; what is not kept any more is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

from stackfile import log, wire
from stackfile.errors import ActionError
from stackfile.model.event import Event
from stackfile.store.events import EventTable
from stackfile.store.rows import EventRow

_LOG = log.get("events")


class Bus:
    """Stores events and wakes their readers; readers read the store, so that nothing is kept twice."""

    def __init__(self, table: EventTable) -> None:
        self._table = table
        self._news = asyncio.Event()
        self._closed = False

    def publish(self, kind: str, action: str, identity: str, attributes: Mapping[str, str] | None = None) -> None:
        """Store an event and wake who follows. What happened stays so where the disk does not take the event."""
        text = wire.encode(dict(attributes or {})).decode()
        try:
            self._table.append(time.time_ns(), kind, action, identity, text)
        except ActionError as error:
            _LOG.error("lost: %s %s of %s: %s", kind, action, identity[:12], error)
        self._wake()

    def events(self, *, since: int = 0, follow: bool = True, until_ns: int = 0) -> AsyncIterator[Event]:
        """Events above `since`; with `follow` and since 0 those from now on; up to `until_ns` where it is set."""
        start = self._table.last() if follow and not since else since
        return self._read(start, follow, until_ns)

    def close(self) -> None:
        """End all readers."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _read(self, position: int, follow: bool, until_ns: int) -> AsyncIterator[Event]:
        while True:
            news = self._news
            rows = self._table.since(position) if not self._closed else []
            for row in rows:
                if until_ns and row.time_ns > until_ns:
                    return
                if 0 < position < row.sequence - 1:
                    yield _omission(position, row)
                yield _event(row)
                position = row.sequence
            if rows:
                continue
            if not follow or self._closed or not await _arrives(news, until_ns):
                return


async def _arrives(news: asyncio.Event, until_ns: int) -> bool:
    """Wait for news; False when `until_ns` comes first."""
    left = (until_ns - time.time_ns()) / 1e9 if until_ns else None
    try:
        async with asyncio.timeout(left):
            await news.wait()
    except TimeoutError:
        return False
    return True


def _omission(position: int, following: EventRow) -> Event:
    """In place of events that are not kept any more: the reader was away, or slower than they came, for too long."""
    return Event(
        sequence=following.sequence - 1,
        time_ns=following.time_ns,
        kind="daemon",
        action="omit",
        id="",
        attributes={"events": str(following.sequence - 1 - position)},
    )


def _event(row: EventRow) -> Event:
    return Event(
        sequence=row.sequence,
        time_ns=row.time_ns,
        kind=row.kind,
        action=row.action,
        id=row.id,
        attributes=wire.decode(row.attributes, dict[str, str]),
    )
