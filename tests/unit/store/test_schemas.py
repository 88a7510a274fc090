"""Databases that earlier versions left: a stored copy of every schema, with rows in every table, is brought up to date.

A new migration gets its copies here: `python -m tests.unit.store.test_schemas` writes those that are missing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.store.database import Database
from stackfile.store.schema import RUN, STATE

COPIES = Path(__file__).parent / "schemas"
SCHEMAS = {"state": STATE, "run": RUN}
VERSIONS = [(name, number + 1) for name, schema in SCHEMAS.items() for number in range(len(schema))]


def copy(name: str, version: int) -> Path:
    return COPIES / f"{name}-{version}.sql"


def restored(name: str, version: int, directory: Path) -> str:
    path = str(directory / f"{name}.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(copy(name, version).read_text())
        connection.execute(f"PRAGMA user_version={version}")
    return path


def tables(connection: sqlite3.Connection) -> dict[str, str]:
    """Everything that has a definition, by name."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql != '' AND name NOT LIKE 'sqlite_%'")
    return {name: " ".join(text.split()) for name, text in rows}


def content(connection: sqlite3.Connection) -> dict[str, list[dict[str, object]]]:
    """All rows of all tables, by column."""
    connection.row_factory = sqlite3.Row
    names = [row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_a_stored_copy_is_brought_up_to_date(name: str, version: int, tmp_path: Path) -> None:
    path = restored(name, version, tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        before = content(connection)
    assert all(before.values()), "a table without a row proves nothing"
    Database(path, SCHEMAS[name]).close()
    Database(str(tmp_path / "fresh.db"), SCHEMAS[name]).close()
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(tmp_path / "fresh.db")) as fresh:
        assert tables(connection) == tables(fresh)
        after = content(connection)
    for table, rows in before.items():
        assert len(after[table]) == len(rows), table
        for old, new in zip(rows, after[table], strict=True):
            assert {column: new[column] for column in old} == old, table


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_a_released_migration_is_never_edited(name: str, version: int, tmp_path: Path) -> None:
    path = restored(name, version, tmp_path)
    Database(str(tmp_path / "then.db"), SCHEMAS[name][:version]).close()
    with closing(sqlite3.connect(path)) as stored, closing(sqlite3.connect(tmp_path / "then.db")) as then:
        assert tables(stored) == tables(then)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_newer_one_is_refused_and_left_as_it_is(name: str, tmp_path: Path) -> None:
    path = restored(name, len(SCHEMAS[name]), tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={len(SCHEMAS[name]) + 1}")
        before = content(connection)
    with pytest.raises(ActionError) as caught:
        Database(path, SCHEMAS[name])
    assert caught.value.reason == "database-newer"
    with closing(sqlite3.connect(path)) as connection:
        assert content(connection) == before


def _write_missing() -> None:
    """A row of the column's kind in every table, beside those of the copy before."""
    for name, version in VERSIONS:
        if copy(name, version).exists():
            continue
        with closing(sqlite3.connect(":memory:")) as connection:
            for number, script in enumerate(SCHEMAS[name][:version]):
                connection.executescript(script)
                _fill(connection, number)
            copy(name, version).write_text("\n".join(connection.iterdump()) + "\n")


def _fill(connection: sqlite3.Connection, number: int) -> None:
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table.startswith("sqlite_") or connection.execute(f"SELECT 1 FROM {table}").fetchone():
            continue
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        values = [number + 1 if kind == "INTEGER" else f"{table} {column}" for _, column, kind, *_ in columns]
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)


if __name__ == "__main__":
    _write_missing()
