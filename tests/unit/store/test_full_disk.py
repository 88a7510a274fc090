"""A database whose disk is full, read-only or broken: the reason is told, and deleting always works."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.store.database import Database

pytestmark = pytest.mark.root

SCHEMA = ("CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT NOT NULL)",)
BIG = "y" * 2000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB and 64 inodes."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=64", "tmpfs", tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def fill(disk: Path) -> None:
    """Not a byte is free after this, and no inode."""
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    number = 0
    try:
        while True:
            (disk / f"empty-{number}").touch()
            number += 1
    except OSError:
        return


def grow(database: Database, *, raises: bool = False) -> tuple[int, ActionError]:
    """Insert until it is refused."""
    for number in range(100_000):
        try:
            database.execute("INSERT INTO a (y) VALUES (?)", BIG)
        except ActionError as error:
            if raises:
                raise
            return number, error
    raise AssertionError("nothing was refused")


def test_a_full_disk_refuses_growth_and_never_a_removal(disk: Path) -> None:
    path = str(disk / "db")
    database = Database(path, SCHEMA)
    for number in range(300):
        database.execute("INSERT INTO a VALUES (?, ?)", number, BIG)
    fill(disk)
    count, error = grow(database)
    assert count > 0, "there is a reserve"
    assert (error.reason, error.details["path"]) == ("disk-full", path)
    assert "prune" in error.hint
    with pytest.raises(ActionError) as caught, database.transaction(durable=True):
        grow(database, raises=True)
    assert caught.value.reason == "disk-full"
    # rows are changed and removed as long as one likes
    for turn in range(1000):
        database.execute("UPDATE a SET y = ? WHERE x = ?", BIG[1:] + str(turn % 10), turn % 300)
    for number in range(299):
        database.execute("DELETE FROM a WHERE x = ?", number)
    assert database.rows("SELECT x FROM a WHERE x < 300") == [(299,)]
    database.execute("INSERT INTO a (y) VALUES ('what was removed made room')")

    # it opens on a full disk after a clean end, and after a kill, which leaves its WAL
    database.close()
    fill(disk)
    child = os.fork()
    if child == 0:
        Database(path, SCHEMA).execute("DELETE FROM a WHERE x = 299")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    fill(disk)
    database = Database(path, SCHEMA)
    assert database.one("SELECT count(*) FROM a WHERE x = 299") == (0,)
    grow(database)

    # and goes on by itself once there is space
    for left in disk.glob("[fe]*"):
        left.unlink()
    for _ in range(500):
        database.execute("INSERT INTO a (y) VALUES (?)", BIG)
    database.close()
    with closing(sqlite3.connect(path)) as checking:
        assert checking.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_read_only_disk_says_so(disk: Path) -> None:
    path = str(disk / "db")
    Database(path, SCHEMA).close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(ActionError) as caught:
        Database(path, SCHEMA)
    assert caught.value.reason == "read-only"
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    Database(path, SCHEMA).close()


def test_a_damaged_database_says_so(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(ActionError) as caught:
        Database(str(path), SCHEMA)
    assert caught.value.reason == "database-damaged"
    assert str(path) in caught.value.message


WRITER = """
import sys
from stackfile.errors import ActionError
from stackfile.store.database import Database
database = Database(sys.argv[1], ("CREATE TABLE a (x)",))
print("open", flush=True)
for line in sys.stdin:
    try:
        with database.transaction(durable=True):
            database.execute("INSERT INTO a VALUES (?)", line.strip())
        print("stored", flush=True)
    except ActionError as error:
        print(error.reason, flush=True)
"""


needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


class Writer:
    """A process that stores a row for each line, and says how that went."""

    def __init__(self, path: str) -> None:
        command = [sys.executable, "-c", WRITER, path]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "open\n"

    def ask(self, value: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{value}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    @contextmanager
    def refused(self, calls: str, error: str) -> Iterator[None]:
        """System calls fail, as they would on a disk that does not take anything."""
        rule = ("-e", f"trace={calls}", "-e", f"inject={calls}:error={error}")
        command = ["strace", "-p", str(self.process.pid), *rule]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as injector:
            assert injector.stderr is not None
            assert "attached" in injector.stderr.readline()
            yield
            injector.terminate()
            injector.communicate()

    def close(self) -> None:
        self.process.communicate()


@needs_strace
def test_after_a_failed_sync_nothing_is_believed(tmp_path: Path) -> None:
    """What the kernel dropped, a second fsync would not tell: only a new process reads what is really there."""
    path = str(tmp_path / "db")
    with closing(Writer(path)) as writer:
        assert writer.ask("before") == "stored"
        with writer.refused("fsync,fdatasync", "EIO"):
            assert writer.ask("during") == "io-error"
        assert writer.ask("after") == "io-error"
    again = Database(path, ("CREATE TABLE a (x)",))
    assert again.one("SELECT x FROM a WHERE x = 'before'") == ("before",)
    with again.transaction(durable=True):
        again.execute("INSERT INTO a VALUES ('again')")
    again.close()


@needs_strace
def test_what_the_disk_says_is_told_where_sqlite_only_speaks_of_an_error(tmp_path: Path) -> None:
    """A quota, and a file system that the kernel has made read-only while it is open (statvfs does not tell)."""
    path = str(tmp_path / "db")
    with closing(Writer(path)) as writer:
        for error, reason in (("EDQUOT", "disk-full"), ("EROFS", "read-only"), ("EIO", "io-error")):
            with writer.refused("pwrite64", error):
                assert writer.ask("during") == reason
            assert writer.ask(f"after {error}") == "stored"
    with closing(sqlite3.connect(path)) as checking:
        assert checking.execute("SELECT x FROM a").fetchall() == [("after EDQUOT",), ("after EROFS",), ("after EIO",)]
