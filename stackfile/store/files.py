"""Which contents of configs and secrets are kept; the contents themselves are files, never in the database."""

from __future__ import annotations

from stackfile.store.database import Database
from stackfile.store.rows import FileRow


class FileTable:
    """Rows of kept contents."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def put(self, project: str, kind: str, name: str, key: str) -> None:
        """Make `key` the current content of the name. Durable: a generated secret exists nowhere else."""
        with self._db.transaction(durable=True):
            row = self._db.one(
                "SELECT coalesce(max(number), 0) + 1 FROM files WHERE project = ? AND kind = ? AND name = ?",
                project, kind, name,
            )  # fmt: skip
            assert row is not None
            self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", project, kind, name, key, row[0])

    def current(self, project: str, kind: str, name: str) -> str:
        """Key of the current content, "" where there is none."""
        row = self._db.one(
            "SELECT key FROM files WHERE project = ? AND kind = ? AND name = ? ORDER BY number DESC LIMIT 1",
            project, kind, name,
        )  # fmt: skip
        return row[0] if row else ""

    def by_key(self, key: str) -> list[FileRow]:
        """Where a content is kept."""
        return [FileRow(*row) for row in self._db.rows("SELECT * FROM files WHERE key = ? ORDER BY number DESC", key)]

    def all(self) -> list[FileRow]:
        """Every content that is kept."""
        return [FileRow(*row) for row in self._db.rows("SELECT * FROM files ORDER BY project, kind, name, number")]

    def list(self, project: str, kind: str = "", name: str = "") -> list[FileRow]:
        """Contents of a project, of one kind and name where given, oldest first."""
        rows = self._db.rows(
            "SELECT * FROM files WHERE project = ? AND (? = '' OR kind = ?) AND (? = '' OR name = ?) ORDER BY number",
            project, kind, kind, name, name,
        )  # fmt: skip
        return [FileRow(*row) for row in rows]

    def delete(self, row: FileRow) -> None:
        self._db.execute(
            "DELETE FROM files WHERE project = ? AND kind = ? AND name = ? AND key = ?",
            row.project, row.kind, row.name, row.key,
        )  # fmt: skip
