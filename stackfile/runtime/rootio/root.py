"""The root of a container as a descriptor, and paths below it."""

from __future__ import annotations

import os
import stat

from stackfile.errors import ActionError, KernelError, NotFoundError
from stackfile.kernel import mounts
from stackfile.kernel.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2, unshare
from stackfile.runtime.rootio.protocol import PathStat, Request

_INSIDE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_CLONE_NEWNS = 0x00020000
_MAXIMUM_LINKS = 40


def open_root(request: Request) -> int:
    """A descriptor (O_PATH) of the root that the request means. Raises KernelError."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    if request.pid:
        return os.open(f"/proc/{request.pid}/root", flags)
    unshare(_CLONE_NEWNS)
    mounts.set_propagation("/", mounts.MS_REC | mounts.MS_PRIVATE)
    if request.work:
        mounts.overlay(request.lower, request.upper, request.work, request.stage)
    else:
        _attach(mounts.clone_tree(request.upper, recursive=False), os.open(request.stage, flags))
    root = os.open(request.stage, flags)
    for source, target, read_only in request.mounts:
        _bind(root, source, target, read_only)
    return root


def _attach(mount: int, target: int) -> None:
    try:
        mounts.attach(mount, target)
    finally:
        os.close(mount)
        os.close(target)


def _bind(root: int, source: str, target: str, read_only: bool) -> None:
    try:
        place = openat2(root, target, os.O_PATH, _INSIDE)
    except KernelError:
        # A container that was never started has no mount points yet.
        return
    mount = mounts.clone_tree(source, recursive=True)
    if read_only:
        mounts.set_attributes(mount, add=mounts.ATTR_RDONLY, recursive=True)
    _attach(mount, place)


def open_inside(root: int, path: str, flags: int = os.O_PATH) -> int:
    """Open `path` inside the root. Raises NotFoundError, ActionError (`bad-request`)."""
    try:
        return openat2(root, path or "/", flags | os.O_CLOEXEC, _INSIDE)
    except KernelError as error:
        raise _explained(error, path) from error


def _explained(error: KernelError, path: str) -> Exception:
    known: dict[int, Exception] = {
        2: NotFoundError("file", path, hint="paths are inside the container"),
        20: ActionError("bad-request", f"{path}: a part of the path is not a directory"),
        40: ActionError("bad-request", f"{path}: too many levels of symbolic links"),
    }
    return known.get(error.errno, error)


def split(path: str) -> tuple[str, str, bool]:
    """(directory, last name, whether it is followed): Docker follows where a slash or dot is at the end."""
    follow = path.endswith(("/", "/.")) or path in ("", ".")
    clean = os.path.normpath(f"/{path}")
    clean = "/" + clean.lstrip("/")
    directory, name = os.path.split(clean)
    return directory, name, follow or not name


def open_entry(root: int, path: str) -> tuple[int, str]:
    """(descriptor of the file itself, its name); a link at the end stays one unless the path ends in a slash."""
    directory, name, follow = split(path)
    whole = os.path.join(directory, name)
    flags = os.O_PATH if follow else os.O_PATH | os.O_NOFOLLOW
    found = open_inside(root, whole, flags)
    if follow and name and not stat.S_ISDIR(os.fstat(found).st_mode):
        os.close(found)
        raise ActionError("bad-request", f"{path} is not a directory")
    return found, name or "/"


def stat_of(root: int, path: str) -> PathStat:
    """What `path` is. Raises NotFoundError."""
    found, name = open_entry(root, path)
    try:
        status = os.fstat(found)
        link = ""
        if stat.S_ISLNK(status.st_mode):
            link = _resolved(path, os.readlink("", dir_fd=found))
        return PathStat(name=name, size=status.st_size, mode=status.st_mode, mtime_ns=status.st_mtime_ns, link=link)
    finally:
        os.close(found)


def _resolved(path: str, target: str) -> str:
    """Where a link leads, as an absolute path inside the root."""
    base = os.path.dirname(os.path.normpath(f"/{path}"))
    return "/" + os.path.normpath(os.path.join(base, target)).lstrip("/")
