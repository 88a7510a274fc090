"""The container's root: overlay, /dev, /proc, /sys, mounts, masked paths, pivot_root."""

from __future__ import annotations

import os
import stat

from stackfile.kernel import mounts
from stackfile.kernel.mounts import ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, FileSystem
from stackfile.runtime.child import inside
from stackfile.runtime.child.report import Channel
from stackfile.runtime.instructions import BindMount, Device, Instructions, TmpfsMount

_CLOSED = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
)
_TTY_GROUP = 5


def build(container: Instructions, channel: Channel, shm: int = -1) -> int:
    """Make the whole tree below the mount point, in this process's mount namespace; its root's descriptor.

    `shm` is a mount for /dev/shm, -1 for one of its own.
    """
    os.umask(0)
    point = f"{container.run_dir}/rootfs"
    # Before all is made a slave below: only so a mount that is made in the container is passed on to the machine.
    shared = {}
    for mount in container.mounts:
        if mount.propagation in _SHARED:
            with channel.step(f"mount {mount.target}"):
                shared[mount.target] = _clone(mount)
    with channel.step("mount the root file system"):
        mounts.set_propagation("/", mounts.MS_SLAVE | mounts.MS_REC)
        _mount_root(container, point)
        root = os.open(point, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    with channel.step("mount /proc"), FileSystem("proc") as fs:
        _place(fs.mount(_CLOSED), root, "/proc")
    with channel.step("make /dev"):
        _make_dev(container, root, shm)
    with channel.step("mount /sys"):
        _mount_sys(container, root)
    _mount_all(container, root, shared, channel)
    return root


def finish(container: Instructions, root: int, channel: Channel) -> None:
    """What has to come after the terminal and the working directory were made: sysctls, protection, pivot_root."""
    for name, value in container.sysctls:
        with channel.step(f"set sysctl {name}"):
            _set_sysctl(root, name, value)
    with channel.step("protect paths"):
        _protect(container, root)
    with channel.step("pivot_root"):
        os.fchdir(root)
        mounts.pivot_root(".", ".")
        mounts.unmount(".")
        os.chdir("/")
    os.close(root)
    os.umask(0o022)


def _mount_root(container: Instructions, point: str) -> None:
    os.makedirs(point, mode=0o700, exist_ok=True)
    given = container.root
    if given.kind == "overlay":
        return mounts.overlay(given.lower, given.upper, given.work, point)
    tree = mounts.clone_tree(given.upper, recursive=False)
    mounts.set_attributes(tree, propagation=mounts.MS_PRIVATE)
    mounts.attach_at(tree, point)
    os.close(tree)
    return None


def _place(mount: int, root: int, path: str, *, directory: bool = True) -> None:
    """Attach a detached mount at `path` inside the root, and close it."""
    target = inside.ensure(root, path, directory=directory)
    try:
        mounts.attach(mount, target, path)
    finally:
        os.close(target)
        os.close(mount)


def _tmpfs(attributes: int, **options: str) -> int:
    with FileSystem("tmpfs") as fs:
        for key, value in options.items():
            fs.set(key, value)
        return fs.mount(attributes)


def _make_dev(container: Instructions, root: int, shm: int) -> None:
    dev = _tmpfs(ATTR_NOSUID | mounts.ATTR_STRICTATIME, mode="755", size="65536k")
    for device in container.devices:
        _make_node(device, dev)
    for name, target in _LINKS:
        os.symlink(target, name, dir_fd=dev)
    for name in ("pts", "shm", "mqueue"):
        os.mkdir(name, 0o755, dir_fd=dev)
    _place(dev, root, "/dev")
    with FileSystem("devpts") as fs:
        for key, value in (("ptmxmode", "0666"), ("mode", "0620"), ("gid", str(_TTY_GROUP))):
            fs.set(key, value)
        _place(fs.mount(ATTR_NOSUID | ATTR_NOEXEC), root, "/dev/pts")
    if shm >= 0:
        _place(shm, root, "/dev/shm")
    elif container.ipc_host:
        _place(mounts.clone_tree("/dev/shm", recursive=False), root, "/dev/shm")
    else:
        _place(_tmpfs(_CLOSED, mode="1777", size=str(container.shm_size)), root, "/dev/shm")
    with FileSystem("mqueue") as fs:
        _place(fs.mount(_CLOSED), root, "/dev/mqueue")


def _make_node(device: Device, dev: int) -> None:
    name = device.path.removeprefix("/dev/")
    parts = name.split("/")
    for depth in range(1, len(parts)):
        try:
            os.mkdir("/".join(parts[:depth]), 0o755, dir_fd=dev)
        except FileExistsError:
            pass
    kind = stat.S_IFCHR if device.kind == "c" else stat.S_IFBLK
    os.mknod(name, kind | device.mode, os.makedev(device.major, device.minor), dir_fd=dev)
    if device.uid or device.gid:
        os.chown(name, device.uid, device.gid, dir_fd=dev)


def _mount_sys(container: Instructions, root: int) -> None:
    read_only = 0 if container.privileged else ATTR_RDONLY
    with FileSystem("sysfs") as fs:
        _place(fs.mount(_CLOSED | read_only), root, "/sys")
    if container.cgroup.version == 2:
        with FileSystem("cgroup2") as fs:
            _place(fs.mount(_CLOSED | read_only), root, "/sys/fs/cgroup")
        return
    view = _tmpfs(_CLOSED, mode="755")
    for name, _ in container.cgroup.views:
        os.mkdir(name, 0o755, dir_fd=view)
    kept = os.dup(view)
    _place(view, root, "/sys/fs/cgroup")
    # The container's own groups, which is what mounting the hierarchies in its cgroup namespace would show, but fewer
    # calls.
    for (name, _), path in zip(container.cgroup.views, container.cgroup.paths, strict=True):
        group = mounts.clone_tree(path, recursive=False)
        mounts.attach_at(group, name, kept)
        os.close(group)
    mounts.set_attributes(
        kept, add=_CLOSED | read_only, propagation=mounts.MS_PRIVATE, recursive=True, subject="/sys/fs/cgroup"
    )
    os.close(kept)


def _mount_all(container: Instructions, root: int, shared: dict[str, tuple[int, bool]], channel: Channel) -> None:
    """Binds and tmpfs together, parents before children. `shared` are binds that were cloned already, by target."""
    wanted: list[BindMount | TmpfsMount] = [*container.mounts, *container.tmpfs]
    for mount in sorted(wanted, key=lambda each: len([part for part in each.target.split("/") if part])):
        with channel.step(f"mount {mount.target}"):
            if isinstance(mount, BindMount):
                _bind(mount, root, shared.get(mount.target) or _clone(mount))
            else:
                _user_tmpfs(mount, root)


_PROPAGATION = {
    "private": (mounts.MS_PRIVATE, False),
    "rprivate": (mounts.MS_PRIVATE, True),
    "slave": (mounts.MS_SLAVE, False),
    "rslave": (mounts.MS_SLAVE, True),
    "shared": (mounts.MS_SHARED, False),
    "rshared": (mounts.MS_SHARED, True),
}
_SHARED = ("shared", "rshared")


def _clone(mount: BindMount) -> tuple[int, bool]:
    """The source as a detached mount, and whether it is a directory."""
    source = os.open(mount.source, os.O_PATH | os.O_CLOEXEC)
    if mount.subpath:
        below = inside.lookup(source, mount.subpath)
        os.close(source)
        if below is None:
            raise FileNotFoundError(2, "no such subpath", f"{mount.source}/{mount.subpath}")
        source = below
    directory = stat.S_ISDIR(os.fstat(source).st_mode)
    tree = mounts.clone_tree("", recursive=mount.recursive and directory, directory=source)
    os.close(source)
    return tree, directory


def _bind(mount: BindMount, root: int, cloned: tuple[int, bool]) -> None:
    tree, directory = cloned
    if mount.read_only:
        mounts.set_attributes(tree, add=ATTR_RDONLY, recursive=mount.recursive, subject=mount.source)
    kind, recursive = _PROPAGATION[mount.propagation or "rprivate"]
    mounts.set_attributes(tree, propagation=kind, recursive=recursive, subject=mount.source)
    _place(tree, root, mount.target, directory=directory)


_FLAGS = {"ro": ATTR_RDONLY, "nosuid": ATTR_NOSUID, "nodev": ATTR_NODEV, "noexec": ATTR_NOEXEC}
_UNFLAGS = {"rw": ATTR_RDONLY, "suid": ATTR_NOSUID, "dev": ATTR_NODEV, "exec": ATTR_NOEXEC}


def _user_tmpfs(mount: TmpfsMount, root: int) -> None:
    attributes = _CLOSED
    with FileSystem("tmpfs") as fs:
        fs.set("mode", f"{mount.mode:o}")
        if mount.size:
            fs.set("size", str(mount.size))
        for option in mount.options:
            key, equals, value = option.partition("=")
            if option in _FLAGS:
                attributes |= _FLAGS[option]
            elif option in _UNFLAGS:
                attributes &= ~_UNFLAGS[option]
            elif equals:
                fs.set(key, value)
            else:
                fs.flag(key)
        _place(fs.mount(attributes), root, mount.target)


def _set_sysctl(root: int, name: str, value: str) -> None:
    path = "/proc/sys/" + name.replace(".", "/")
    fd = inside.lookup(root, path, os.O_WRONLY)
    if fd is None:
        raise FileNotFoundError(2, "no such sysctl", path)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _protect(container: Instructions, root: int) -> None:
    for path in container.readonly_paths:
        found = inside.lookup(root, path)
        if found is None:
            continue
        tree = mounts.clone_tree("", recursive=True, directory=found)
        mounts.set_attributes(tree, add=ATTR_RDONLY, recursive=True, subject=path)
        mounts.attach(tree, found, path)
        os.close(found)
        os.close(tree)
    if container.masked_paths:
        _mask(container.masked_paths, root)
    if container.root.read_only:
        mounts.set_attributes(root, add=ATTR_RDONLY, subject="/")


def _mask(paths: tuple[str, ...], root: int) -> None:
    """/dev/null over files, an empty read-only tmpfs over directories."""
    null = inside.ensure(root, "/dev/null", directory=False)
    empty = -1
    for path in paths:
        found = inside.lookup(root, path)
        if found is None:
            continue
        directory = stat.S_ISDIR(os.fstat(found).st_mode)
        if directory and empty < 0:
            # The first directory gets it, the others its clones: older kernels clone only what is attached.
            empty = _tmpfs(_CLOSED | ATTR_RDONLY, nr_blocks="1")
            mounts.attach(empty, found, path)
        else:
            cover = mounts.clone_tree("", recursive=False, directory=empty if directory else null)
            mounts.attach(cover, found, path)
            os.close(cover)
        os.close(found)
    os.close(null)
    if empty >= 0:
        os.close(empty)
