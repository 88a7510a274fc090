"""One SQLite database: WAL, schema by forward migrations (`PRAGMA user_version`), newer ones refused.

What the disk refuses is an ActionError with its reason. A failed statement leaves no transaction open, and one that
was only out of room is tried once more when there is some; deletions always have room (see `reserve`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stackfile import log
from stackfile.errors import ActionError
from stackfile.store import sqlfaults
from stackfile.store.reserve import PAGE, Amount, Reserve

_LASTING = Amount(wal=1024, growth=128)
_PASSING = Amount(wal=320, growth=32)
"""Of a database in memory: its reserve is memory too."""

_ROOM = "room"
"""A table that is there while free pages are made."""

_LOG = log.get(__name__)


class Database:
    """A connection that is the only writer of its file. Statements are short (well under a millisecond).

    A commit survives the death of the process (synchronous NORMAL); one made with `durable` survives that of the
    machine too (FULL). Errors of the disk: ActionError (`disk-full`, `read-only`, `io-error`, `database-damaged`,
    `in-use`). After a failed fsync nothing is written any more: what the kernel dropped, a second one would not tell.
    """

    def __init__(self, path: str, migrations: Sequence[str], *, lasting: bool = True) -> None:
        """Open or create `path` and bring its schema up to date. One that is not `lasting` is never synced.

        `migrations[n]` leads from version n to n + 1. Raises ActionError (`database-newer`, and those of the disk).
        """
        self.path = path
        self._lasting = lasting
        self._commits = 0
        self._broken: ActionError | None = None
        with sqlfaults.told(path):
            self._amount = (_LASTING if lasting else _PASSING).on(path)
            self._reserve = Reserve(path, self._amount.wal)
            self._reserve.free()
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(migrations)
            except BaseException:
                self.close()
                raise

    def _prepare(self, migrations: Sequence[str]) -> None:
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute(f"PRAGMA synchronous={'NORMAL' if self._lasting else 'OFF'}")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._migrate(migrations)
        self._reserve.take()
        self._connection.execute(f"DROP TABLE IF EXISTS {_ROOM}")
        if self._reserve.possible:
            self._bound()
            self._make_room()

    @property
    def version(self) -> int:
        """Schema version of the file."""
        return self._number("user_version")

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
        self._check()
        self._make_room()
        try:
            if durable:
                self._connection.execute("PRAGMA synchronous=FULL")
            try:
                with sqlfaults.told(self.path):
                    self._connection.execute("BEGIN IMMEDIATE")
                yield
                with sqlfaults.told(self.path):
                    self._connection.execute("COMMIT")
            except BaseException as error:
                self._roll_back(error)
                raise
        finally:
            if durable:
                self._connection.execute("PRAGMA synchronous=NORMAL")
        self._committed()

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Run one statement; outside of `transaction` it is a commit of its own."""
        if self._connection.in_transaction:
            with sqlfaults.told(self.path):
                return self._connection.execute(statement, values)
        self._check()
        try:
            cursor = self._once(statement, values)
        except ActionError as error:
            if error.reason != "disk-full" or not self._grow():
                raise
            cursor = self._once(statement, values)
        self._committed()
        return cursor

    def _once(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        try:
            with sqlfaults.told(self.path):
                return self._connection.execute(statement, values)
        except ActionError as error:
            self._roll_back(error)
            raise

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with sqlfaults.told(self.path):
            return self._connection.execute(statement, values).fetchall()

    def one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        """The first row of a query."""
        with sqlfaults.told(self.path):
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        return row

    def close(self) -> None:
        self._connection.close()
        self._reserve.keep()

    # ---- failures

    def _roll_back(self, error: BaseException) -> None:
        """SQLite has done it already after some errors. One that is about a sync is the last one."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        if isinstance(error, ActionError) and sqlfaults.unsynced(error):
            self._broken = error

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    # ---- room

    def _committed(self) -> None:
        """After a commit: every now and then the WAL goes into the database, and the free pages are counted."""
        self._commits += 1
        if self._commits % self._amount.commits:
            return
        try:
            self._checkpoint()
            self._make_room()
        except ActionError as error:
            _LOG.error("checkpoint: %s", error)

    def _checkpoint(self) -> None:
        try:
            with sqlfaults.told(self.path):
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except ActionError as error:
            self._roll_back(error)
            raise

    def _make_room(self) -> None:
        """Before it is needed."""
        if self._reserve.possible and self._number("freelist_count") < self._amount.growth // 2:
            self._grow()

    def _grow(self) -> bool:
        """More free pages, whose blocks the disk has given. False when it has none."""
        if not self._reserve.possible:
            return False
        self._checkpoint()
        # Some for the table itself and the tree of its one value.
        pages = self._number("page_count") + self._amount.growth + 8
        if not self._reserve.extend(pages):
            return False
        self._number(f"max_page_count={pages}")
        try:
            with sqlfaults.told(self.path):
                # Two commits: pages that are used and freed in one are never written, and so would have no blocks.
                self._connection.executescript(
                    f"BEGIN; CREATE TABLE {_ROOM} (x); "
                    f"INSERT INTO {_ROOM} VALUES (zeroblob({self._amount.growth * PAGE})); COMMIT"
                )
                self._checkpoint()
                self._connection.execute(f"DROP TABLE {_ROOM}")
        except ActionError as error:
            self._roll_back(error)
            raise
        self._bound()
        return True

    def _bound(self) -> None:
        """It may have as many pages as it has."""
        self._number(f"max_page_count={self._number('page_count')}")

    def _number(self, pragma: str) -> int:
        return int(self._connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def reindex(path: str) -> None:
    """Make every index of a database anew, by a connection of its own; nothing where it is too damaged for that."""
    connection = sqlite3.connect(path, timeout=10)
    try:
        connection.execute("REINDEX")
    except sqlite3.DatabaseError:
        pass  # the caller looks again, and is told what is wrong
    finally:
        connection.close()


def schema_version(path: str) -> int:
    """Schema version of a database, by a connection of its own; 0 where there is none."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
