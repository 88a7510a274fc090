"""The mount namespace of the engine's processes.

On an ordinary machine it is the machine's own. Inside a chroot it cannot be: pivot_root(2) refuses when the root is no
mount point, and a chroot often has no cgroup file system. There the supervisor takes a mount namespace of its own
before it starts the others, and makes what is missing in it, seen by nobody else and gone with the engine.
"""

from __future__ import annotations

import os

from stackfile.errors import KernelError
from stackfile.kernel.mounts import (
    ATTR_NODEV,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    MS_REC,
    MS_SLAVE,
    FileSystem,
    attach_at,
    clone_tree,
    set_propagation,
)
from stackfile.kernel.syscalls import NEWNS, setns, unshare

_CGROUPS = "/sys/fs/cgroup"
_ATTRIBUTES = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC


def complete() -> None:
    """Take a mount namespace of our own where the present one cannot hold containers; nothing otherwise."""
    root_is_mount, cgroups_mounted = _look(_read("/proc/self/mountinfo"))
    if root_is_mount and cgroups_mounted:
        return
    _separate()
    if not root_is_mount:
        _root_as_mount()
    if not cgroups_mounted and os.path.isdir(_CGROUPS):
        _mount_cgroups()


def _look(mountinfo: str) -> tuple[bool, bool]:
    """Whether the root is a mount point, and whether any cgroup file system is mounted (proc(5), mountinfo)."""
    rows = [line.partition(" - ") for line in mountinfo.splitlines()]
    root = any(head.split(" ")[4] == "/" for head, _, _ in rows)
    return root, any(tail.startswith("cgroup") for _, _, tail in rows)


def _separate() -> None:
    """A mount namespace that follows the machine's and tells it nothing.

    In a chroot the propagation of "/" cannot be set, as it is no mount point. setns(2) to the namespace we are in sets
    the root to its real one for a moment; the descriptor, opened after unshare(2), brings us back.
    """
    unshare(NEWNS)
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    setns(namespace, NEWNS)
    set_propagation("/", MS_REC | MS_SLAVE)
    os.fchdir(here)
    os.chroot(".")
    os.chdir("/")
    os.close(namespace)
    os.close(here)


def _root_as_mount() -> None:
    """Bind the root, with all that is mounted below, on itself and step onto it."""
    tree = clone_tree("/", recursive=True)
    attach_at(tree, "/")
    os.fchdir(tree)
    os.chroot(".")
    os.close(tree)


def _mount_cgroups() -> None:
    """The hierarchies that the kernel has: v1 ones as /proc/cgroups lists them, else the unified one."""
    together: dict[str, list[str]] = {}
    for line in _read("/proc/cgroups").splitlines()[1:]:
        name, hierarchy, _, enabled = line.split()
        if enabled == "1" and hierarchy != "0":
            together.setdefault(hierarchy, []).append(name)
    if not together:
        _mount("cgroup2", _CGROUPS)
        return
    _mount("tmpfs", _CGROUPS)
    for names in together.values():
        point = f"{_CGROUPS}/{','.join(names)}"
        os.mkdir(point)
        try:
            _mount("cgroup", point, names)
        except KernelError:
            os.rmdir(point)  # another mount binds it with other options: containers go without this controller


def _mount(kind: str, point: str, flags: list[str] | None = None) -> None:
    with FileSystem(kind) as system:
        for flag in flags or ():
            system.flag(flag)
        mount = system.mount(_ATTRIBUTES)
    attach_at(mount, point)
    os.close(mount)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
