"""The containers in memory, and their rows in state.db."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from stackfile import log, refusals, wire
from stackfile.engines.embedded import names
from stackfile.engines.embedded.background import spawn
from stackfile.errors import ActionError, ConflictError, NotFoundError, StackfileError
from stackfile.model import labels
from stackfile.model.container import ContainerSpec, ContainerState, Endpoint, ExitStatus, PublishedPort
from stackfile.store.rows import ContainerRow
from stackfile.store.state import StateStore
from stackfile.turns import Turn

RUNNING, STOPPED = "running", "stopped"
_AGAIN = 1.0
"""Seconds between two attempts to store what the disk refused."""

_LOG = log.get("registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What the engine chose for a container: addresses, host ports, interfaces, volumes (target → name)."""

    endpoints: tuple[Endpoint, ...] = ()
    published: tuple[PublishedPort, ...] = ()
    volumes: dict[str, str] = field(default_factory=dict)
    interfaces: dict[str, str] = field(default_factory=dict)
    """Network id → interface in the container."""


@dataclass(slots=True, eq=False)
class Container:
    """A container. `lock` is held by what changes it between stopped and running; reading needs none."""

    id: str
    spec: ContainerSpec
    state: ContainerState
    created: str
    desired: str = STOPPED
    """running or stopped: what the user last asked for; decides what a reboot starts again."""
    place: Placement = Placement()
    lock: Turn = field(default_factory=Turn)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    exits: int = 0
    """How often it ended while this process looked."""
    removed: bool = False
    reachable: bool = False
    """Its addresses are up: names may lead to it."""
    keep: bool = False
    """An end under way is part of a restart: `auto_remove` waits."""
    start_time: int = 0
    """Field 22 of /proc/PID/stat of the main process, 0 when it does not run."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def project(self) -> str:
        return self.spec.labels.get(labels.PROJECT, "")

    @property
    def service(self) -> str:
        return self.spec.labels.get(labels.SERVICE, "")

    @property
    def alive(self) -> bool:
        """Whether it has a main process now."""
        return self.state.status in ("running", "paused")

    @property
    def exit_status(self) -> ExitStatus:
        """How it ended last."""
        return self.state.exit_status

    def turn(self, doing: str, *, patience: float | None = None) -> AbstractAsyncContextManager[None]:
        """Hold `lock` to do something that has this name. Raises ActionError (`timeout`)."""
        return self.lock.take(f"container {self.name}", doing, patience=patience)

    def require(self) -> None:
        """For whoever had to wait for the lock. Raises NotFoundError when it was removed meanwhile."""
        if self.removed:
            raise NotFoundError("container", self.name)

    def notify(self) -> None:
        """Wake everybody who waits for a change."""
        self.changed.set()
        self.changed = asyncio.Event()


class Registry:
    """All containers by id, stored as they change.

    What happened to a container is true whether the disk takes it or not: it is kept here, and written later.
    """

    def __init__(self, state: StateStore) -> None:
        self._state = state
        self._containers: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._unsaved: set[str] = set()
        """Ids of containers whose row is not true any more."""
        self._saved = asyncio.Event()

    def load(self) -> None:
        """Read them from the database."""
        for row in self._state.list_containers():
            container = Container(
                id=row.id,
                spec=wire.decode(row.spec, ContainerSpec),
                state=wire.decode(row.state, ContainerState),
                created=row.created,
                desired=row.desired,
                place=wire.decode(row.place, Placement),
            )
            self._containers[row.id] = container
            self._names[row.name] = row.id

    def find(self, ref: str) -> Container:
        """By id, name or unique prefix. Raises NotFoundError, or ActionError (`ambiguous`)."""
        wanted = ref.removeprefix("/")
        named = self._names.get(wanted)
        if named is not None:
            return self._containers[named]
        return names.resolve("container", wanted, self._containers, lambda container: container.spec.name)

    def get(self, identity: str) -> Container | None:
        """By id alone."""
        return self._containers.get(identity)

    def all(self) -> list[Container]:
        """All, oldest first."""
        return list(self._containers.values())

    def names(self) -> set[str]:
        return set(self._names)

    def file_keys(self) -> set[str]:
        """Keys of all contents of configs and secrets that containers refer to."""
        found: set[str] = set()
        for container in self._containers.values():
            found.update(file.key for file in container.spec.files)
            found.update(container.spec.secret_keys.values())
        return found

    def members(self, project: str, service: str) -> list[Container]:
        """Containers of a service."""
        return [c for c in self._containers.values() if c.project == project and c.service == service]

    def add(self, container: Container) -> None:
        """Raises ConflictError (`name-taken`), and what the disk refuses."""
        self.claim(container.name, container.id)
        self._write(container)
        self._containers[container.id] = container
        container.notify()

    def claim(self, name: str, identity: str) -> None:
        """Give `name` to a container. Raises ConflictError (`name-taken`)."""
        holder = self._names.setdefault(name, identity)
        if holder != identity:
            raise ConflictError(
                "name-taken",
                f"container name {name} is in use",
                cause=f"by {holder[:12]}",
                hint=f"remove or rename it: stackfile rm {name}",
            )

    def unclaim(self, name: str, identity: str) -> None:
        """Give a name back that `claim` took for a container which did not come to be."""
        if self._names.get(name) == identity and identity not in self._containers:
            del self._names[name]

    def rename(self, container: Container, name: str) -> None:
        """Raises ConflictError (`name-taken`), and what the disk refuses."""
        before = container.spec
        if before.name == name:
            return
        self.claim(name, container.id)
        container.spec = replace(before, name=name)
        try:
            self._write(container)
        except ActionError:
            container.spec = before
            del self._names[name]
            raise
        del self._names[before.name]
        container.notify()

    def remove(self, container: Container) -> None:
        self._state.delete_container(container.id)
        self._containers.pop(container.id, None)
        self._unsaved.discard(container.id)
        if self._names.get(container.name) == container.id:
            del self._names[container.name]
        container.removed = True
        container.notify()

    @staticmethod
    def agrees(container: Container, row: ContainerRow) -> bool:
        """Whether a row says the same; one that an earlier version wrote may have fewer fields."""
        try:
            same = (
                wire.decode(row.spec, ContainerSpec) == container.spec
                and wire.decode(row.state, ContainerState) == container.state
                and wire.decode(row.place, Placement) == container.place
            )
        except StackfileError:
            return False
        return same and (row.name, row.created, row.desired) == (container.name, container.created, container.desired)

    def save(self, container: Container) -> None:
        """Write it to the database, as soon as that is possible, and wake who waits for a change of it."""
        if container.removed:
            return
        try:
            self._write(container)
            self._unsaved.discard(container.id)
        except ActionError as error:
            if error.reason not in refusals.REASONS:
                raise
            _LOG.error("the state of %s is not stored yet: %s", container.name, error)
            if not self._unsaved:
                spawn(self._save_later(), "storing what could not be stored")
            self._unsaved.add(container.id)
        container.notify()

    async def saved(self, container: Container) -> None:
        """Until what is known of it is stored too."""
        while container.id in self._unsaved:
            await self._saved.wait()

    async def _save_later(self) -> None:
        while self._unsaved:
            await asyncio.sleep(_AGAIN)
            for identity in list(self._unsaved):
                try:
                    self._write(self._containers[identity])
                except ActionError:
                    break
                self._unsaved.discard(identity)
            self._saved.set()
            self._saved = asyncio.Event()

    def _write(self, container: Container) -> None:
        self._state.put_container(
            ContainerRow(
                id=container.id,
                name=container.name,
                project=container.project,
                service=container.service,
                spec=wire.encode(container.spec).decode(),
                state=wire.encode(container.state).decode(),
                place=wire.encode(container.place).decode(),
                created=container.created,
                desired=container.desired,
            )
        )

    def place(self, container: Container, **changes: Any) -> None:
        """Replace fields of the container's place and save it."""
        container.place = replace(container.place, **changes)
        self.save(container)

    def set_state(self, container: Container, **changes: Any) -> None:
        """Replace fields of the container's state and save it."""
        container.state = replace(container.state, **changes)
        self.save(container)
