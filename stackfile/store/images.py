"""Images, their tags and the build cache in state.db, as JSON text."""

from __future__ import annotations

from stackfile.store.database import Database


class ImageTable:
    """Rows of images. Commits that publish an image are durable: its blobs are on disk by then. So are those that
    delete one: its blobs are deleted next, and a power loss must not bring back the row alone.
    """

    def __init__(self, database: Database) -> None:
        self._db = database

    def put_image(self, image_id: str, record: str) -> None:
        with self._db.transaction(durable=True):
            self._db.execute("INSERT OR REPLACE INTO images VALUES (?, ?)", image_id, record)

    def get_image(self, image_id: str) -> str | None:
        row = self._db.one("SELECT record FROM images WHERE id = ?", image_id)
        return row[0] if row else None

    def list_images(self) -> list[tuple[str, str]]:
        """(id, record) of all images."""
        return [(row[0], row[1]) for row in self._db.rows("SELECT id, record FROM images ORDER BY id")]

    def delete_image(self, image_id: str) -> None:
        """Delete an image and its tags."""
        with self._db.transaction(durable=True):
            self._db.execute("DELETE FROM tags WHERE image = ?", image_id)
            self._db.execute("DELETE FROM images WHERE id = ?", image_id)

    def put_tag(self, name: str, image_id: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO tags VALUES (?, ?)", name, image_id)

    def get_tag(self, name: str) -> str | None:
        row = self._db.one("SELECT image FROM tags WHERE name = ?", name)
        return row[0] if row else None

    def list_tags(self) -> list[tuple[str, str]]:
        """(name, image id) of all tags."""
        return [(row[0], row[1]) for row in self._db.rows("SELECT name, image FROM tags ORDER BY name")]

    def delete_tag(self, name: str) -> None:
        self._db.execute("DELETE FROM tags WHERE name = ?", name)

    def put_cache(self, key: str, record: str) -> None:
        with self._db.transaction(durable=True):
            self._db.execute("INSERT OR REPLACE INTO build_cache VALUES (?, ?)", key, record)

    def get_cache(self, key: str) -> str | None:
        row = self._db.one("SELECT record FROM build_cache WHERE key = ?", key)
        return row[0] if row else None

    def list_cache(self) -> list[tuple[str, str]]:
        """(key, record) of the whole build cache."""
        return [(row[0], row[1]) for row in self._db.rows("SELECT key, record FROM build_cache ORDER BY key")]

    def delete_cache(self, key: str) -> None:
        self._db.execute("DELETE FROM build_cache WHERE key = ?", key)
