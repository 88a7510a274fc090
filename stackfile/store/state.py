"""state.db: what survives a reboot. One instance, in the daemon, is the only writer."""

from __future__ import annotations

from dataclasses import astuple

from stackfile.store.database import Database
from stackfile.store.events import EventTable
from stackfile.store.files import FileTable
from stackfile.store.images import ImageTable
from stackfile.store.rows import ContainerRow, NetworkRow, VolumeRow
from stackfile.store.schema import STATE


class StateStore:
    """The tables of state.db."""

    def __init__(self, path: str, new_engine_id: str) -> None:
        """Open or create; `new_engine_id` becomes the engine's id when the database is new.

        Raises ActionError (`database-newer`).
        """
        self._db = Database(path, STATE)
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('engine', ?)", new_engine_id)
        row = self._db.one("SELECT value FROM meta WHERE name = 'engine'")
        assert row is not None
        self.engine_id: str = row[0]
        self.images = ImageTable(self._db)
        self.files = FileTable(self._db)
        self.events = EventTable(self._db)

    def close(self) -> None:
        self._db.close()

    # ---- containers

    def put_container(self, row: ContainerRow) -> None:
        self._db.execute("INSERT OR REPLACE INTO containers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *astuple(row))

    def list_containers(self) -> list[ContainerRow]:
        """All, oldest first."""
        return [ContainerRow(*row) for row in self._db.rows("SELECT * FROM containers ORDER BY created, id")]

    def delete_container(self, identity: str) -> None:
        self._db.execute("DELETE FROM containers WHERE id = ?", identity)

    # ---- networks

    def put_network(self, row: NetworkRow) -> None:
        self._db.execute("INSERT OR REPLACE INTO networks VALUES (?, ?, ?, ?)", *astuple(row))

    def list_networks(self) -> list[NetworkRow]:
        return [NetworkRow(*row) for row in self._db.rows("SELECT * FROM networks ORDER BY name")]

    def delete_network(self, identity: str) -> None:
        self._db.execute("DELETE FROM networks WHERE id = ?", identity)

    # ---- volumes

    def put_volume(self, row: VolumeRow) -> None:
        self._db.execute("INSERT OR REPLACE INTO volumes VALUES (?, ?, ?)", *astuple(row))

    def get_volume(self, name: str) -> VolumeRow | None:
        row = self._db.one("SELECT * FROM volumes WHERE name = ?", name)
        return VolumeRow(*row) if row else None

    def list_volumes(self) -> list[VolumeRow]:
        return [VolumeRow(*row) for row in self._db.rows("SELECT * FROM volumes ORDER BY name")]

    def delete_volume(self, name: str) -> None:
        self._db.execute("DELETE FROM volumes WHERE name = ?", name)

    # ---- projects

    def put_project(self, name: str, record: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO projects VALUES (?, ?)", name, record)

    def get_project(self, name: str) -> str | None:
        row = self._db.one("SELECT record FROM projects WHERE name = ?", name)
        return row[0] if row else None

    def list_projects(self) -> list[tuple[str, str]]:
        """(name, record) of all projects."""
        return [(row[0], row[1]) for row in self._db.rows("SELECT name, record FROM projects ORDER BY name")]

    def delete_project(self, name: str) -> None:
        self._db.execute("DELETE FROM projects WHERE name = ?", name)
