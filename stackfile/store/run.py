"""run.db: what a reboot empties. Intents, address leases, running processes, reserved ports."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence

from stackfile.store.database import Database
from stackfile.store.rows import IntentRow, LeaseRow, PortRow, RunningRow
from stackfile.store.schema import RUN


class RunStore:
    """The tables of run.db. `fresh` says that the machine was booted since it was last written (or it is new)."""

    def __init__(self, path: str, boot_id: str) -> None:
        """Open or create. One that another boot wrote is replaced: nothing in it is true any more."""
        self._db = Database(path, RUN, lasting=False)
        row = self._db.one("SELECT value FROM meta WHERE name = 'boot'")
        if row is not None and row[0] != boot_id:
            self._db.close()
            for suffix in ("", "-wal", "-shm"):
                if os.path.exists(path + suffix):
                    os.unlink(path + suffix)
            self._db = Database(path, RUN, lasting=False)
            row = None
        self.fresh = row is None
        if self.fresh:
            self._db.execute("INSERT INTO meta VALUES ('boot', ?)", boot_id)

    def close(self) -> None:
        self._db.close()

    # ---- intents

    def begin(self, kind: str, key: str, data: str) -> int:
        """Note an effect that is about to be made; returns the intent's id."""
        identity = self._db.execute("INSERT INTO intents (kind, key, data) VALUES (?, ?, ?)", kind, key, data).lastrowid
        assert identity is not None
        return identity

    def done(self, identity: int) -> None:
        """The effect is recorded where it belongs, or undone."""
        self._db.execute("DELETE FROM intents WHERE id = ?", identity)

    def intents(self) -> list[IntentRow]:
        """What was begun and not done, in order."""
        return [IntentRow(*row) for row in self._db.rows("SELECT * FROM intents ORDER BY id")]

    # ---- leases

    def lease(self, network: str, candidates: Sequence[str], owner: str) -> str:
        """Give `owner` the first of `candidates` that is free or its own; "" when none is."""
        for address in candidates:
            try:
                self._db.execute("INSERT INTO leases VALUES (?, ?, ?)", network, address, owner)
                return address
            except sqlite3.IntegrityError:
                row = self._db.one("SELECT owner FROM leases WHERE network = ? AND address = ?", network, address)
                if row is not None and row[0] == owner:
                    return address
        return ""

    def leases(self, network: str) -> list[LeaseRow]:
        return [LeaseRow(*row) for row in self._db.rows("SELECT * FROM leases WHERE network = ?", network)]

    def all_leases(self) -> list[LeaseRow]:
        return [LeaseRow(*row) for row in self._db.rows("SELECT * FROM leases ORDER BY network, address")]

    def leases_of(self, owner: str) -> list[LeaseRow]:
        return [LeaseRow(*row) for row in self._db.rows("SELECT * FROM leases WHERE owner = ?", owner)]

    def release(self, owner: str, network: str = "") -> None:
        """Free the owner's addresses, in one network or all."""
        self._db.execute("DELETE FROM leases WHERE owner = ? AND (? = '' OR network = ?)", owner, network, network)

    def release_address(self, network: str, address: str) -> None:
        """Free one address."""
        self._db.execute("DELETE FROM leases WHERE network = ? AND address = ?", network, address)

    def release_network(self, network: str) -> None:
        self._db.execute("DELETE FROM leases WHERE network = ?", network)

    # ---- running processes

    def put_running(self, row: RunningRow) -> None:
        self._db.execute("INSERT OR REPLACE INTO running VALUES (?, ?, ?)", row.container, row.pid, row.start_time)

    def list_running(self) -> list[RunningRow]:
        return [RunningRow(*row) for row in self._db.rows("SELECT * FROM running")]

    def delete_running(self, container: str) -> None:
        self._db.execute("DELETE FROM running WHERE container = ?", container)

    # ---- ports

    def put_port(self, row: PortRow) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO ports VALUES (?, ?, ?, ?)", row.owner, row.protocol, row.host_ip, row.host_port
        )

    def list_ports(self) -> list[PortRow]:
        return [PortRow(*row) for row in self._db.rows("SELECT * FROM ports")]

    def delete_port(self, protocol: str, host_ip: str, host_port: int) -> None:
        self._db.execute(
            "DELETE FROM ports WHERE protocol = ? AND host_ip = ? AND host_port = ?", protocol, host_ip, host_port
        )
