"""What carries our mark and belongs to no container that runs, and directories of no container.

Looked for at every start, where all of it goes, and by `system fsck`.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.registry import Registry
from stackfile.engines.embedded.trash import Trash

HELD = ("netns", "dns", "stdio", "stdin", "tty")
"""Kinds of keys in the supervisor that go with a container."""
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Leftover:
    """A thing that nobody owns. `remove` may be called once; it raises KernelError, OSError or EngineError."""

    reason: str
    subject: str
    found: str
    remove: Callable[[], Awaitable[None]]


class Leftovers:
    """Finds them; changes nothing by itself."""

    def __init__(self, core: Core, registry: Registry, networks: Networks, trash: Trash) -> None:
        self._core = core
        self._registry = registry
        self._networks = networks
        self._trash = trash

    def find(self, busy: set[str] | None = None) -> list[Leftover]:
        """All of them. `busy` are ids of containers and build steps that are coming or going just now."""
        busy = busy or set()
        alive = {container.id for container in self._registry.all() if container.alive} | busy
        known = {container.id for container in self._registry.all()} | busy
        return [*self._held(alive), *self._cgroups(alive), *self._directories(alive, known), *self._leases(known)]

    def _held(self, alive: set[str]) -> Iterator[Leftover]:
        for key in self._core.supervisor.keys(""):
            kind, _, rest = key.partition("/")
            if kind in HELD and rest.partition("/")[0] not in alive:
                yield Leftover("held-unknown", f"descriptors {key}", "held for no container that runs", self._drop(key))

    def _drop(self, key: str) -> Callable[[], Awaitable[None]]:
        async def remove() -> None:
            self._core.supervisor.drop(key)

        return remove

    def _cgroups(self, alive: set[str]) -> Iterator[Leftover]:
        for identity in self._core.cgroups.identities():
            if _ID.fullmatch(identity) and identity not in alive:
                processes = len(self._core.cgroups.processes(identity))
                found = f"of no container that runs, {processes} processes in it"
                yield Leftover("cgroup-unknown", f"cgroup {identity}", found, self._remove_cgroup(identity))

    def _remove_cgroup(self, identity: str) -> Callable[[], Awaitable[None]]:
        async def remove() -> None:
            self._core.cgroups.kill_all(identity)
            await asyncio.to_thread(self._core.cgroups.remove, identity)

        return remove

    def _directories(self, alive: set[str], known: set[str]) -> Iterator[Leftover]:
        kinds = (
            ("run-directory-unknown", f"{self._core.run_paths.root}/containers", alive, "no container that runs"),
            ("container-directory-unknown", f"{self._core.paths.root}/containers", known, "no container"),
        )
        for reason, root, keep, whose in kinds:
            for name in _names(root):
                if _ID.fullmatch(name) and name not in keep:
                    path = f"{root}/{name}"
                    yield Leftover(reason, f"directory {path}", f"of {whose}", self._discard(path))

    def _discard(self, path: str) -> Callable[[], Awaitable[None]]:
        async def remove() -> None:
            try:
                self._trash.discard(path)
            except OSError:
                # Another file system than the trash's: the run root, with little in it.
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)

        return remove

    def _leases(self, known: set[str]) -> Iterator[Leftover]:
        held: dict[str, list[str]] = {}
        for lease in self._core.run.all_leases():
            held.setdefault(lease.owner, []).append(lease.address)
        for owner, addresses in held.items():
            if owner not in known:
                found = f"{', '.join(addresses)} for no container"
                yield Leftover("lease-unknown", f"leases of {owner}", found, self._release(owner))

    def _release(self, owner: str) -> Callable[[], Awaitable[None]]:
        async def remove() -> None:
            self._networks.release(owner)

        return remove


def _names(root: str) -> list[str]:
    try:
        return os.listdir(root)
    except FileNotFoundError:
        return []
