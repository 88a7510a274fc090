"""Cgroups of one engine: which hierarchies this machine has, and the life of a container's group in them."""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Sequence

from stackfile.errors import EngineError, KernelError
from stackfile.model.stack import Resources
from stackfile.runtime.cgroup import v1, v2
from stackfile.runtime.cgroup.hierarchy import Hierarchies, detect
from stackfile.runtime.cgroup.types import DEFAULT_DEVICES, ENGINE_GROUP, CgroupDetails, CgroupStats, DeviceRule
from stackfile.runtime.instructions import CgroupHandle

_SPARE = "spare-"
"""Begins the names of groups that wait for their container."""
_REMOVE_PATIENCE = 0.5
"""Seconds that a group may stay busy after its last process was reaped."""


class Cgroups:
    """All groups below `parent`. Synchronous; every call takes well below 5 ms.

    On a hybrid machine (controllers on v1, an empty v2 tree) v1 is used; on a unified one v2.
    """

    def __init__(self, parent: str, hierarchies: Hierarchies | None = None) -> None:
        """`hierarchies` are the machine's own unless given. EngineError (`unsupported-kernel`) when there are none."""
        found = hierarchies or detect()
        self.version = found.version
        self._spares: deque[str] = deque()
        self._tree: v1.Tree | v2.Tree
        if found.version == 1:
            self._tree = v1.Tree(parent, found)
        elif found.version == 2:
            self._tree = v2.Tree(parent, found)
        else:
            raise EngineError(
                "unsupported-kernel",
                "no cgroup hierarchy is mounted",
                hint="mount -t cgroup2 none /sys/fs/cgroup",
            )

    def create(
        self, identity: str, resources: Resources, devices: Sequence[DeviceRule] = DEFAULT_DEVICES
    ) -> CgroupHandle:
        """Make the group of a container (anew when a stale one is there) with its limits and device rules.

        Raises KernelError naming the file that refused.
        """
        if devices == DEFAULT_DEVICES and self._take_spare(identity):
            return self._limited(identity, resources)
        try:
            return self._tree.create(identity, resources, devices)
        except KernelError:
            self.remove(identity)
            raise

    def _take_spare(self, identity: str) -> bool:
        try:
            spare = self._spares.popleft()
        except IndexError:
            return False
        if self._tree.rename(spare, identity):
            return True
        self.remove(spare)
        return False

    def _limited(self, identity: str, resources: Resources) -> CgroupHandle:
        try:
            self._tree.limit(identity, resources)
        except KernelError:
            self.remove(identity)
            raise
        return self._tree.handle(identity)

    @property
    def spares(self) -> int:
        """How many groups wait for their container."""
        return len(self._spares)

    def add_spare(self) -> None:
        """Make a group ahead, with the default devices; `create` takes it. Raises KernelError.

        Only for v1, where a group can be renamed and a new one costs 4 ms.
        """
        name = f"{_SPARE}{secrets.token_hex(8)}"
        try:
            self._tree.create(name, Resources(), DEFAULT_DEVICES)
        except KernelError:
            self.remove(name)
            raise
        self._spares.append(name)

    def remove_spares(self) -> None:
        """Remove the groups that wait. Each is taken first, so that no container in another thread gets it."""
        while True:
            try:
                spare = self._spares.popleft()
            except IndexError:
                return
            self.remove(spare)

    def remove_left_spares(self) -> None:
        """Remove the groups that a killed process made ahead; before this one makes any."""
        for name in self._tree.identities():
            if name.startswith(_SPARE):
                self.remove(name)

    def handle(self, identity: str) -> CgroupHandle:
        """The handle of an existing group (after a restart of the daemon)."""
        return self._tree.handle(identity)

    def exists(self, identity: str) -> bool:
        return any(os.path.isdir(path) for path in self._tree.directories(identity))

    def identities(self) -> list[str]:
        """Names of the containers' groups below the parent now."""
        return [name for name in self._tree.identities() if name != ENGINE_GROUP and not name.startswith(_SPARE)]

    def update(self, identity: str, resources: Resources) -> None:
        """Change the limits of a live group. Raises KernelError naming the file that refused."""
        self._tree.update(identity, resources)

    def set_devices(self, identity: str, devices: Sequence[DeviceRule]) -> None:
        """Change the device rules of a live group. Raises KernelError."""
        self._tree.set_devices(identity, devices)

    def read(self, identity: str) -> CgroupStats:
        """Usage now; zeros for what cannot be read (the group is gone, the controller is not there)."""
        return self._tree.read(identity)

    def usage(self, identity: str) -> tuple[int, int]:
        """(bytes of memory without its file cache, processes) now: what lists of containers show; cheap."""
        return self._tree.usage(identity)

    def details(self, identity: str) -> CgroupDetails:
        """Usage in every detail; zeros for what cannot be read."""
        return self._tree.details(identity)

    def limits(self, identity: str) -> dict[str, tuple[str, str]]:
        """Limits as the kernel has them: field of Resources → (value in that field's terms, file it was read from)."""
        return self._tree.limits(identity)

    def freeze(self, identity: str) -> None:
        """Stop every process of the group; returns when they are frozen (at most 1 s)."""
        self._tree.freeze(identity, True)

    def thaw(self, identity: str) -> None:
        self._tree.freeze(identity, False)

    def processes(self, identity: str) -> list[int]:
        """Process ids in the group and below it, in this process's pid namespace."""
        return self._tree.processes(identity)

    def kill_all(self, identity: str) -> None:
        """SIGKILL to every process in the group, children of fork races included. Does not wait for their end."""
        self._tree.kill_all(identity)

    def remove(self, identity: str) -> None:
        """Remove the group and what is below it. Idempotent. KernelError when it stays busy for half a second."""
        deadline = time.monotonic() + _REMOVE_PATIENCE
        for path in self._tree.directories(identity):
            _remove_tree(path, deadline)

    def remove_parent(self) -> None:
        """Remove the parent group when nothing is left in it; leaves it alone otherwise."""
        for path in self._tree.parents():
            try:
                os.rmdir(path)
            except OSError:
                continue


def _remove_tree(path: str, deadline: float) -> None:
    while True:
        try:
            os.rmdir(path)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            for entry in _children(path):
                _remove_tree(entry, deadline)
            if time.monotonic() > deadline:
                raise KernelError(error.errno or 0, "rmdir", path) from error
            time.sleep(0.0005)


def _children(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
