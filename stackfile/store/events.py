"""Stored events: a strictly increasing sequence that is never reused, bounded in number."""

from __future__ import annotations

from stackfile.errors import ActionError
from stackfile.store.database import Database
from stackfile.store.rows import EventRow

KEPT = 10_000
_PRUNE_EVERY = 500
_MAKING_ROOM = 200
"""Events that fill a few pages."""


class EventTable:
    """Rows of events."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def append(self, time_ns: int, kind: str, action: str, identity: str, attributes: str) -> int:
        """Store an event; returns its sequence number. On a full disk the oldest ones make room."""
        try:
            sequence = self._insert(time_ns, kind, action, identity, attributes)
        except ActionError as error:
            if error.reason != "disk-full":
                raise
            self._db.execute(
                "DELETE FROM events WHERE sequence IN (SELECT sequence FROM events ORDER BY sequence LIMIT ?)",
                _MAKING_ROOM,
            )
            sequence = self._insert(time_ns, kind, action, identity, attributes)
        if sequence % _PRUNE_EVERY == 0:
            self._db.execute("DELETE FROM events WHERE sequence <= ?", sequence - KEPT)
        return sequence

    def _insert(self, *values: int | str) -> int:
        statement = "INSERT INTO events (time_ns, kind, action, id, attributes) VALUES (?, ?, ?, ?, ?)"
        sequence = self._db.execute(statement, *values).lastrowid
        assert sequence is not None
        return sequence

    def last(self) -> int:
        """The highest sequence number given so far, 0 before the first."""
        row = self._db.one("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return row[0] if row else 0

    def since(self, sequence: int, limit: int = 1000) -> list[EventRow]:
        """Up to `limit` events above `sequence`, in order."""
        rows = self._db.rows("SELECT * FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?", sequence, limit)
        return [EventRow(*row) for row in rows]
