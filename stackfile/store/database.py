"""One SQLite database: WAL, schema by forward migrations (`PRAGMA user_version`), newer ones refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stackfile.errors import ActionError


class Database:
    """A connection that is the only writer of its file. Statements are short (well under a millisecond).

    A commit survives the death of the process (synchronous NORMAL); one made with `durable` survives that of the
    machine too (FULL).
    """

    def __init__(self, path: str, migrations: Sequence[str], *, lasting: bool = True) -> None:
        """Open or create `path` and bring its schema up to date. One that is not `lasting` is never synced.

        `migrations[n]` leads from version n to n + 1. Raises ActionError (`database-newer`).
        """
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(f"PRAGMA synchronous={'NORMAL' if lasting else 'OFF'}")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._migrate(migrations)
        except BaseException:
            self._connection.close()
            raise

    @property
    def version(self) -> int:
        """Schema version of the file."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _migrate(self, migrations: Sequence[str]) -> None:
        present = self.version
        if present > len(migrations):
            raise ActionError(
                "database-newer",
                f"{self.path} has schema {present}, this version knows {len(migrations)}",
                hint="use the version of stackfile that wrote it, or a newer one",
            )
        for number in range(present, len(migrations)):
            # One script, so that a crash leaves either the old version or the new one.
            self._connection.executescript(
                f"BEGIN IMMEDIATE;\n{migrations[number]}\n;PRAGMA user_version={number + 1};\nCOMMIT;"
            )

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Several statements as one commit; rolled back on an exception."""
        if durable:
            self._connection.execute("PRAGMA synchronous=FULL")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        finally:
            if durable:
                self._connection.execute("PRAGMA synchronous=NORMAL")

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement; outside of `transaction` it is a commit of its own."""
        return self._connection.execute(statement, values)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._connection.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row of a query."""
        row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        return row

    def close(self) -> None:
        self._connection.close()
