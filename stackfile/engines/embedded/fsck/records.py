"""Containers, networks, volumes and contents of configs and secrets: rows against memory and files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

from stackfile import wire
from stackfile.engines.embedded import names
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.files import FileStore
from stackfile.engines.embedded.fsck.problem import Problem, Repair, at_once
from stackfile.engines.embedded.launcher import log_directory
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.engines.embedded.volumes import Volumes
from stackfile.errors import StackfileError
from stackfile.model.container import NetworkRecord, VolumeRecord
from stackfile.model.observed import Project
from stackfile.store.rows import FileRow


class RecordFaults:
    """What the database says and memory or the state root says otherwise."""

    def __init__(
        self, core: Core, registry: Registry, networks: Networks, volumes: Volumes, files: FileStore, *, quick: bool
    ) -> None:
        self._core = core
        self._registry = registry
        self._networks = networks
        self._volumes = volumes
        self._files = files
        self._quick = quick

    async def look(self) -> list[Problem]:
        return [
            *await self._rows(),
            *self._projects(),
            *self._directories(),
            *self._volume_rows(),
            *self._volume_directories(),
            *await self._contents(),
        ]

    async def _rows(self) -> list[Problem]:
        """Containers and networks are kept in memory: there they are as they should be."""
        found = []
        rows = {row.id: row for row in self._core.state.list_containers()}
        for container in self._registry.all():
            await asyncio.sleep(0)  # decoding takes 0.1 ms each
            row = rows.get(container.id)
            if container.removed or container.lock.locked() or (row and self._registry.agrees(container, row)):
                continue
            text = "its row is another one" if row else "it has no row"
            save = at_once(self._registry.save, container)
            found.append(
                Problem("record-missing", f"container {container.name}", text, "the row is written again", save)
            )
        stored = {row.id: row for row in self._core.state.list_networks()}
        for record in self._networks.list():
            if record.id not in stored or not _decodes(stored[record.id].record, record):
                text = "its row is another one" if record.id in stored else "it has no row"
                save = at_once(self._networks.save, record)
                found.append(
                    Problem("record-missing", f"network {record.name}", text, "the row is written again", save)
                )
        return found

    def _projects(self) -> Iterator[Problem]:
        for name, record in self._core.state.list_projects():
            try:
                wire.decode(record, Project)
            except StackfileError as error:
                yield Problem(
                    "record-damaged",
                    f"project {name}",
                    f"its row cannot be read: {error}",
                    "it is forgotten; `stackfile up` in its directory takes its containers over again",
                    at_once(self._core.state.delete_project, name),
                )

    # ---- containers

    def _directories(self) -> Iterator[Problem]:
        for container in self._registry.all():
            base = self._core.paths.container(container.id)
            if container.lock.locked() or (os.path.isdir(f"{base}/upper") and os.path.isdir(f"{base}/logs")):
                continue
            runs = container.alive
            yield Problem(
                "container-directory-missing",
                f"container {container.name}",
                f"{base} is not whole: what it wrote is lost",
                "recreate it: stackfile up --force-recreate" if runs else "it gets an empty writable layer",
                None if runs else self._prepare(container),
            )

    def _prepare(self, container: Container) -> Repair:
        async def repair() -> None:
            async with container.turn("repair"):
                if container.removed or container.alive:
                    return
                upper = f"{self._core.paths.container(container.id)}/upper"
                if not os.path.isdir(upper):
                    await asyncio.to_thread(self._core.snapshots.remove, container.id)
                self._core.snapshots.prepare(container.id, container.spec.image)
                os.makedirs(log_directory(self._core, container.id), mode=0o700, exist_ok=True)

        return repair

    # ---- volumes

    def _volume_rows(self) -> Iterator[Problem]:
        for row in self._core.state.list_volumes():
            try:
                record = wire.decode(row.record, VolumeRecord)
            except StackfileError as error:
                found = f"its row cannot be read: {error}"
                mend = "the row is removed; its directory then makes it a volume again, with its data"
                forget = at_once(self._core.state.delete_volume, row.name)
                yield Problem("record-damaged", f"volume {row.name}", found, mend, forget)
                continue
            if not os.path.isdir(record.mountpoint):
                found = f"{record.mountpoint} is not there: its data is lost"
                make = at_once(os.makedirs, record.mountpoint, mode=0o755, exist_ok=True)
                yield Problem(
                    "volume-directory-missing", f"volume {row.name}", found, "it gets an empty directory", make
                )

    def _volume_directories(self) -> Iterator[Problem]:
        known = {row.name for row in self._core.state.list_volumes()}
        for name in sorted(set(os.listdir(self._core.paths.volumes)) - known):
            path = f"{self._core.paths.volumes}/{name}"
            found = f"{path} belongs to no volume"
            try:
                names.check_name("volume", name)
            except StackfileError:
                mend = "not a name of a volume: look what it is, and move it away"
                yield Problem("volume-unknown", f"volume {name}", found, mend)
                continue
            mend = "it becomes a volume again, with what is in it; an empty one is removed"
            yield Problem("volume-unknown", f"volume {name}", found, mend, self._adopt(name))

    def _adopt(self, name: str) -> Repair:
        async def repair() -> None:
            self._volumes.sweep()
            if os.path.isdir(f"{self._core.paths.volumes}/{name}/_data"):
                self._volumes.create(VolumeRecord(name=name))

        return repair

    # ---- configs and secrets

    async def _contents(self) -> list[Problem]:
        again = "its row is removed; the next `stackfile up` stores it again"
        missing, damaged, unknown = await asyncio.to_thread(
            self._files.compare, self._core.state.files.all(), read=not self._quick
        )
        found = [
            Problem("content-missing", _content(row), "its file is not there", again, at_once(self._files.forget, row))
            for row in missing
        ]
        found += [
            Problem("content-damaged", _content(row), "is not what was stored", again, at_once(self._files.forget, row))
            for row in damaged
        ]
        for path in unknown:
            drop = at_once(_unlink, path)
            found.append(Problem("content-unknown", f"file {path}", "no row refers to it", "it is removed", drop))
        return found


def _content(row: FileRow) -> str:
    return f"{row.kind} {row.name} of {row.project or 'no project'}"


def _decodes(text: str, record: NetworkRecord) -> bool:
    try:
        return wire.decode(text, NetworkRecord) == record
    except StackfileError:
        return False


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
