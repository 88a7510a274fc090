"""Stored events: a strictly increasing sequence that is never reused, bounded in number."""

from __future__ import annotations

from stackfile.store.database import Database
from stackfile.store.rows import EventRow

KEPT = 10_000
_PRUNE_EVERY = 500


class EventTable:
    """Rows of events."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def append(self, time_ns: int, kind: str, action: str, identity: str, attributes: str) -> int:
        """Store an event; returns its sequence number."""
        cursor = self._db.execute(
            "INSERT INTO events (time_ns, kind, action, id, attributes) VALUES (?, ?, ?, ?, ?)",
            time_ns, kind, action, identity, attributes,
        )  # fmt: skip
        sequence = cursor.lastrowid
        assert sequence is not None
        if sequence % _PRUNE_EVERY == 0:
            self._db.execute("DELETE FROM events WHERE sequence <= ?", sequence - KEPT)
        return sequence

    def last(self) -> int:
        """The highest sequence number given so far, 0 before the first."""
        row = self._db.one("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return row[0] if row else 0

    def since(self, sequence: int, limit: int = 1000) -> list[EventRow]:
        """Up to `limit` events above `sequence`, in order."""
        rows = self._db.rows("SELECT * FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?", sequence, limit)
        return [EventRow(*row) for row in rows]
