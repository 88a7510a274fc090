"""Paths inside a root that is not trusted: resolved by openat2(2) with RESOLVE_IN_ROOT, made where they are missing."""

from __future__ import annotations

import errno
import os
import posixpath

from stackfile.errors import KernelError
from stackfile.kernel.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

_RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


def lookup(root: int, path: str, flags: int = os.O_PATH) -> int | None:
    """A descriptor of `path` inside the directory `root`; None when it is not there. Raises KernelError."""
    try:
        return openat2(root, path, flags, _RESOLVE)
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def ensure(root: int, path: str, *, directory: bool, links: int = _LINKS) -> int:
    """An O_PATH descriptor of `path` inside `root`; a missing directory or empty file is made, parents too.

    So is what a dangling link leads to (/sbin of an image that has nothing in /usr/sbin), through `links` of them.
    Raises KernelError.
    """
    found = lookup(root, path)
    if found is not None:
        return found
    parent_path, name = posixpath.split(posixpath.normpath(path))
    parent = ensure(root, parent_path or "/", directory=True, links=links)
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=parent))
    except FileExistsError:
        # Made meanwhile, or a dangling link.
        leads = "" if _is_there(root, path) else _link(parent, name)
        if leads and links:
            return ensure(root, posixpath.join(parent_path, leads), directory=directory, links=links - 1)
    except OSError as error:
        raise KernelError(error.errno or 0, "mkdir" if directory else "create", path) from error
    finally:
        os.close(parent)
    return openat2(root, path, os.O_PATH, _RESOLVE)


def _link(parent: int, name: str) -> str:
    """Where a link leads; "" when it is none."""
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError:
        return ""


def _is_there(root: int, path: str) -> bool:
    found = lookup(root, path)
    if found is not None:
        os.close(found)
    return found is not None
