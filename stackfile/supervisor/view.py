"""The mount namespace of the engine's processes.

On an ordinary machine it is the machine's own. Inside a chroot it cannot be: pivot_root(2) refuses when the root is no
mount point, a container would find the machine's root behind its own, and often there is no cgroup file system. There
the supervisor takes a mount namespace of its own
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
    attach,
    attach_at,
    clone_tree,
    pivot_root,
    set_propagation,
    unmount,
)
from stackfile.kernel.syscalls import NEWNS, setns, unshare

_CGROUPS = "/sys/fs/cgroup"
_ATTRIBUTES = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC


def complete() -> None:
    """Take a mount namespace of our own where the present one cannot hold containers; nothing otherwise."""
    chrooted = _chrooted()
    cgroups = " - cgroup" in _read("/proc/self/mountinfo")
    if cgroups and not chrooted:
        return
    here = _separate()
    if chrooted:
        _become_root(here)
    os.close(here)
    if not cgroups and os.path.isdir(_CGROUPS):
        _mount_cgroups()


def _chrooted() -> bool:
    """Whether our root is another than our mount namespace's, which setns(2) takes us to for a moment."""
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _go_to_namespace_root()
    there = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(here)
    os.chroot(".")
    differs = _identity(here) != _identity(there)
    os.close(here)
    os.close(there)
    return differs


def _go_to_namespace_root() -> None:
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(namespace, NEWNS)
    finally:
        os.close(namespace)


def _identity(directory: int) -> tuple[int, str]:
    """Inode and mount of a directory."""
    rows = dict(line.split(":", 1) for line in _read(f"/proc/self/fdinfo/{directory}").splitlines())
    return os.fstat(directory).st_ino, rows["mnt_id"]


def _separate() -> int:
    """Move to a mount namespace that follows the machine's and tells it nothing.

    In a chroot the propagation of "/" cannot be set, as it is no mount point; setns(2) to the namespace we are in takes
    us to the real root. Returns a descriptor of the root we came from.
    """
    unshare(NEWNS)
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _go_to_namespace_root()
    set_propagation("/", MS_REC | MS_SLAVE)
    return here


def _become_root(here: int) -> None:
    """Make the directory `here` the root of this namespace, and let go of all that is not below it.

    Containers must not find the machine's root behind theirs, so chroot(2) would not do.
    """
    tree = clone_tree("", recursive=True, directory=here)
    attach(tree, here)
    os.fchdir(tree)
    os.close(tree)
    pivot_root(".", ".")
    unmount(".")
    os.chdir("/")


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
