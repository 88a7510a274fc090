"""Publishing files and directories so that a reader sees all of them or nothing, power loss included."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from stackfile.errors import KernelError
from stackfile.refusals import refusal

_GRAVE = "removed-"


def temporary_name(directory: str, prefix: str) -> str:
    """A name in `directory` that nobody else uses; it says which process made it."""
    return f"{directory}/{prefix}{os.getpid()}-{secrets.token_hex(8)}"


def temporary_file(directory: str, prefix: str) -> tuple[int, str]:
    """An open, empty, private file and its path."""
    path = temporary_name(directory, prefix)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path


def temporary_directory(directory: str, prefix: str) -> str:
    """A new private directory."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = temporary_name(directory, prefix)
    os.mkdir(path, 0o700)
    return path


def write_all(fd: int, data: bytes | memoryview) -> None:
    """write(2) until everything is written. An OSError names the file."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as e:
        e.filename = os.readlink(f"/proc/self/fd/{fd}")
        raise


@contextmanager
def full_disk(path: str) -> Iterator[None]:
    """Turn what the disk refuses into ActionError (`disk-full`, `read-only`, `io-error`) about `path`."""
    try:
        yield
    except OSError as e:
        known = refusal(e, path)
        if known is None:
            raise
        raise known from e


def publish_file(path: str, target: str) -> None:
    """Sync a file and rename it to `target`."""
    with full_disk(target):
        sync(path)
        os.rename(path, target)
        sync(os.path.dirname(target))


def publish_directory(path: str, target: str) -> bool:
    """Rename a directory to `target`; False (and `path` is removed) when another one is there already."""
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    try:
        os.rename(path, target)
    except OSError as e:
        if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(path)
        return False
    return True


def sync(path: str) -> None:
    """fsync of a file or directory."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(path: str) -> None:
    """syncfs(2): everything written to the file system of `path` so far."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise refusal(OSError(number, ""), path) or KernelError(number, "syncfs", path)
    finally:
        os.close(fd)


def bury(path: str, temporary: str) -> str:
    """Take a published directory out of sight by one rename; it is deleted later, by whoever has the time (`sweep`)
    or at the next start. Returns where it lies; "" when there was none.
    """
    os.makedirs(temporary, mode=0o700, exist_ok=True)
    grave = temporary_name(temporary, _GRAVE)
    try:
        os.rename(path, grave)
    except FileNotFoundError:
        return ""
    return grave


def sweep(temporary: str) -> None:
    """Delete what was buried."""
    for name in os.listdir(temporary):
        if name.startswith(_GRAVE):
            shutil.rmtree(f"{temporary}/{name}", ignore_errors=True)


def sweep_of(temporary: str, pid: int) -> None:
    """Delete what a process that died has left there, whatever its prefix; what it buried is for `sweep`."""
    left = re.compile(rf"(?!{_GRAVE})[a-z]+-{pid}-[0-9a-f]{{16}}")
    for name in os.listdir(temporary):
        if left.fullmatch(name):
            path = f"{temporary}/{name}"
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)


def discard(path: str, temporary: str) -> None:
    """Remove a published directory: out of sight by one rename, then deleted. Absent ones are no error."""
    grave = bury(path, temporary)
    if grave:
        shutil.rmtree(grave)


def write_file(path: str, data: bytes, mode: int = 0o600) -> None:
    """Write a small file whole: readers see the old content or the new one."""
    fresh = temporary_name(os.path.dirname(path), ".new-")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        write_all(fd, data)
        os.rename(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
    finally:
        os.close(fd)
