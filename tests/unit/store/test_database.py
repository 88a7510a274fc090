"""Schemas, migrations, commits."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.store.database import Database
from stackfile.store.schema import RUN, STATE

FIRST = "CREATE TABLE a (x INTEGER)"
SECOND = "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 7"


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    database = Database(path, [FIRST])
    database.execute("INSERT INTO a VALUES (1)")
    database.close()
    database = Database(path, [FIRST, SECOND])
    assert database.version == 2
    assert database.rows("SELECT x, y FROM a") == [(1, 7)]
    database.close()
    database = Database(path, [FIRST, SECOND])
    assert database.rows("SELECT count(*) FROM a") == [(1,)]
    database.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    Database(path, [FIRST, SECOND]).close()
    with pytest.raises(ActionError) as caught:
        Database(path, [FIRST])
    assert caught.value.reason == "database-newer"


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    with pytest.raises(sqlite3.OperationalError):
        Database(path, [FIRST, "CREATE TABLE b (x); NONSENSE"])
    database = Database(path, [FIRST])
    assert database.version == 1
    assert database.rows("SELECT name FROM sqlite_master WHERE name = 'b'") == []
    database.close()


@pytest.mark.parametrize("durable", [False, True])
def test_a_transaction_is_all_or_nothing(tmp_path: Path, durable: bool) -> None:
    database = Database(str(tmp_path / "db"), [FIRST])
    with pytest.raises(sqlite3.OperationalError), database.transaction(durable=durable):
        insert_and_fail(database)
    with database.transaction(durable=durable):
        database.execute("INSERT INTO a VALUES (2)")
    assert database.rows("SELECT x FROM a") == [(2,)]
    assert database.one("PRAGMA synchronous") == (1,)
    database.close()


@pytest.mark.parametrize("schema", [STATE, RUN])
def test_the_schemas_are_valid(tmp_path: Path, schema: tuple[str, ...]) -> None:
    database = Database(str(tmp_path / "db"), schema)
    assert database.version == len(schema)
    database.close()


def insert_and_fail(database: Database) -> None:
    database.execute("INSERT INTO a VALUES (1)")
    database.execute("NONSENSE")
