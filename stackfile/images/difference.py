"""Turns the upper directory of an overlay into a layer's tar: the opposite of `extract`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from stackfile.images import durable
from stackfile.images.archive import Member, Writer, Written

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPAQUE = "trusted.overlay.opaque"
_KEPT_ATTRIBUTES = ("user.", "system.posix_acl_", "security.capability")


def write(directory: str, path: str) -> Written:
    """Write what is in an upper directory to the new tar file `path`. Sockets are left out; times are kept, in whole
    seconds. ActionError (`disk-full`).
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    root = os.open(directory, _DIRECTORY)
    try:
        with durable.full_disk(path), open(fd, "wb", buffering=1 << 20) as file:
            difference = _Difference(Writer(file))
            difference.directory(root, "")
            return difference.writer.finish()
    finally:
        os.close(root)


def write_tree(directory: int, name: str, out: BinaryIO) -> None:
    """Write an open directory, as `name` and what is below it, to a stream: any tree, not only an upper directory."""
    difference = _Difference(Writer(out))
    difference.writer.add(_member(name, "dir", os.fstat(directory), xattrs=_attributes(directory)))
    difference.directory(directory, f"{name}/")
    difference.writer.finish()


def write_file(file: int, name: str, out: BinaryIO) -> None:
    """Write one file that is no directory (a descriptor, O_PATH is enough) to a stream."""
    status = os.fstat(file)
    writer = Writer(out)
    if stat.S_ISLNK(status.st_mode):
        writer.add(_member(name, "symlink", status, target=os.readlink("", dir_fd=file)))
    elif stat.S_ISREG(status.st_mode):
        content = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            writer.add_stream(_member(name, "file", status, xattrs=_attributes(content)), content)
        finally:
            os.close(content)
    elif stat.S_ISFIFO(status.st_mode):
        writer.add(_member(name, "fifo", status))
    writer.finish()


class _Difference:
    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self._inodes: dict[tuple[int, int], str] = {}

    def directory(self, fd: int, prefix: str) -> None:
        """Everything in an open directory, in order of names."""
        if _attribute(fd, _OPAQUE) == b"y":
            self.writer.add(_marker(f"{prefix}.wh..wh..opq"))
        for name in _names(fd):
            self._entry(fd, name, f"{prefix}{name}")

    def _entry(self, parent: int, name: str, path: str) -> None:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            fd = os.open(name, _DIRECTORY, dir_fd=parent)
            try:
                self.writer.add(_member(path, "dir", status, xattrs=_attributes(fd)))
                self.directory(fd, f"{path}/")
            finally:
                os.close(fd)
        elif stat.S_ISREG(mode):
            self._file(parent, name, path, status)
        elif stat.S_ISLNK(mode):
            self.writer.add(_member(path, "symlink", status, target=os.readlink(name, dir_fd=parent)))
        elif stat.S_ISCHR(mode) and status.st_rdev == 0:
            above, _, base = path.rpartition("/")
            self.writer.add(_marker(f"{above}/.wh.{base}" if above else f".wh.{base}"))
        elif stat.S_ISFIFO(mode):
            self.writer.add(_member(path, "fifo", status))

    def _file(self, parent: int, name: str, path: str, status: os.stat_result) -> None:
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in self._inodes:
            self.writer.add(_member(path, "hardlink", status, target=self._inodes[inode]))
            return
        self._inodes[inode] = path
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self.writer.add_stream(_member(path, "file", status, xattrs=_attributes(fd)), fd)
        finally:
            os.close(fd)


def _names(fd: int) -> Iterator[str]:
    yield from sorted(os.listdir(fd), key=os.fsencode)


def _member(
    path: str, kind: str, status: os.stat_result, *, target: str = "", xattrs: dict[str, bytes] | None = None
) -> Member:
    return Member(
        path=path,
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=int(status.st_mtime),
        size=status.st_size if kind == "file" else 0,
        target=target,
        xattrs=xattrs or {},
    )


def _marker(path: str) -> Member:
    return Member(path=path, type="file", mode=0o600)


def _attribute(fd: int, name: str) -> bytes:
    try:
        return os.getxattr(fd, name)
    except OSError:
        return b""


def _attributes(fd: int) -> dict[str, bytes]:
    try:
        names = os.listxattr(fd)
    except OSError:
        return {}
    return {name: os.getxattr(fd, name) for name in names if name.startswith(_KEPT_ATTRIBUTES)}
