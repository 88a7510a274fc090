"""Named and anonymous volumes: directories in the state root."""

from __future__ import annotations

import os
from dataclasses import replace

from stackfile import wire
from stackfile.engines.embedded import clock, names
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.engines.embedded.trash import Trash
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.images import durable
from stackfile.model import labels
from stackfile.model.container import VolumeRecord
from stackfile.store.rows import VolumeRow
from stackfile.store.state import StateStore


class Volumes:
    """Volumes by name; the data of one lies in `volumes/<name>/_data`."""

    def __init__(self, root: str, state: StateStore, registry: Registry, trash: Trash, bus: Bus) -> None:
        self._root = root
        self._state = state
        self._registry = registry
        self._trash = trash
        self._bus = bus

    def create(self, spec: VolumeRecord) -> VolumeRecord:
        """Make a volume, or return the one of that name (with its directory, should that have gone).

        An empty name makes an anonymous one.
        """
        anonymous = spec.anonymous or not spec.name
        name = spec.name or names.new_id()
        names.check_name("volume", name)
        existing = self._state.get_volume(name)
        if existing is not None:
            record = wire.decode(existing.record, VolumeRecord)
            os.makedirs(record.mountpoint, mode=0o755, exist_ok=True)
            return record
        if spec.driver not in ("", "local"):
            raise ActionError("bad-request", f"volume {name}: no driver {spec.driver}", hint="the driver is local")
        record = replace(
            spec,
            name=name,
            driver="local",
            anonymous=anonymous,
            mountpoint=f"{self._root}/{name}/_data",
            created=clock.rfc3339(clock.now_ns()),
        )
        row = VolumeRow(name, record.labels.get(labels.PROJECT, ""), wire.encode(record).decode())
        try:
            with durable.full_disk(record.mountpoint):
                os.makedirs(record.mountpoint, mode=0o755, exist_ok=True)
            self._state.put_volume(row)
        except ActionError:
            _remove_empty(f"{self._root}/{name}")
            raise
        self._bus.publish("volume", "create", name, {"driver": "local"})
        return record

    def get(self, name: str) -> VolumeRecord:
        """Raises NotFoundError."""
        row = self._state.get_volume(name)
        if row is None:
            raise NotFoundError("volume", name)
        return wire.decode(row.record, VolumeRecord)

    def sweep(self) -> None:
        """Remove the empty directories of volumes whose creation was interrupted."""
        known = {row.name for row in self._state.list_volumes()}
        for name in set(os.listdir(self._root)) - known:
            _remove_empty(f"{self._root}/{name}")

    def users(self, name: str) -> list[Container]:
        """Containers that mount it."""
        return [c for c in self._registry.all() if name in c.place.volumes.values() or _wants(c, name)]

    def list(self, project: str = "") -> list[VolumeRecord]:
        rows = self._state.list_volumes()
        return [wire.decode(row.record, VolumeRecord) for row in rows if not project or row.project == project]

    def remove(self, name: str) -> None:
        """Raises NotFoundError, ConflictError (`volume-in-use`)."""
        self.get(name)
        users = self.users(name)
        if users:
            raise ConflictError(
                "volume-in-use", f"volume {name} is in use", cause="by " + ", ".join(user.name for user in users)
            )
        # The data first: what has no record must never hold any.
        self._trash.discard(f"{self._root}/{name}")
        self._state.delete_volume(name)
        self._bus.publish("volume", "destroy", name, {"driver": "local"})


def _remove_empty(directory: str) -> None:
    for path in (f"{directory}/_data", directory):
        try:
            os.rmdir(path)
        except OSError:
            continue  # not ours to delete: something is in it


def _wants(container: Container, name: str) -> bool:
    return any(mount.type == "volume" and mount.source == name for mount in container.spec.mounts)
