"""Copies a directory of a merged view into a real one: owners, modes, times, extended attributes, links."""

from __future__ import annotations

import os
import stat

from stackfile.errors import ActionError
from stackfile.images import durable
from stackfile.images.view import MergedView, Node

_CHUNK = 1 << 30
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy(view: MergedView, path: str, target: str) -> None:
    """Copy what is in directory `path` of the view into the directory `target`, which takes its attributes too.

    Does nothing where the view has no such directory. Sockets are left out. ActionError (`disk-full`).
    """
    node = view.lookup(path)
    if node is None:
        return
    with node, durable.full_disk(target):
        if not node.is_directory:
            return
        root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _Copy(view, root).directory(node, root, "")
        finally:
            os.close(root)


def copy_attributes(source: str, target: str) -> None:
    """Give directory `target` the owner, mode, times and extended attributes of directory `source`."""
    fd = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with Node(source, os.fstat(fd), (fd,)) as node:
        target_fd = os.open(target, _DIRECTORY)
        try:
            apply_attributes(node, target_fd)
        finally:
            os.close(target_fd)


def apply_attributes(node: Node, fd: int) -> None:
    """Give an open file or directory the owner, mode, extended attributes and times of a node."""
    status = node.status
    os.fchown(fd, status.st_uid, status.st_gid)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    for name, value in node.attributes().items():
        try:
            os.setxattr(fd, name, value)
        except OSError:
            continue  # the target's file system does not keep this attribute
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


class _Copy:
    """One copy: remembers inodes, so that hard links stay hard links."""

    def __init__(self, view: MergedView, root: int) -> None:
        self._view = view
        self._root = root
        self._inodes: dict[tuple[int, int], str] = {}

    def directory(self, node: Node, fd: int, relative: str) -> None:
        for name in self._view.names(node):
            child = self._view.child(node, name)
            if child is None:
                continue  # removed since it was listed
            with child:
                self._entry(child, fd, name, f"{relative}{name}")
        apply_attributes(node, fd)

    def _entry(self, node: Node, parent: int, name: str, relative: str) -> None:
        mode = node.status.st_mode
        if stat.S_ISDIR(mode):
            os.mkdir(name, 0o700, dir_fd=parent)
            fd = os.open(name, _DIRECTORY, dir_fd=parent)
            try:
                self.directory(node, fd, f"{relative}/")
            finally:
                os.close(fd)
        elif stat.S_ISREG(mode):
            self._file(node, parent, name, relative)
        elif stat.S_ISLNK(mode):
            os.symlink(node.link, name, dir_fd=parent)
            self._special(node, parent, name)
        elif not stat.S_ISSOCK(mode):
            os.mknod(name, mode, node.status.st_rdev, dir_fd=parent)
            os.chmod(name, stat.S_IMODE(mode), dir_fd=parent)
            self._special(node, parent, name)

    @staticmethod
    def _special(node: Node, parent: int, name: str) -> None:
        status = node.status
        os.chown(name, status.st_uid, status.st_gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _file(self, node: Node, parent: int, name: str, relative: str) -> None:
        inode = (node.status.st_dev, node.status.st_ino)
        if node.status.st_nlink > 1 and inode in self._inodes:
            os.link(self._inodes[inode], relative, src_dir_fd=self._root, dst_dir_fd=self._root, follow_symlinks=False)
            return
        self._inodes[inode] = relative
        source = node.open()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            target = os.open(name, flags, 0o600, dir_fd=parent)
            try:
                copy_data(source, target)
                apply_attributes(node, target)
            finally:
                os.close(target)
        except FileExistsError as e:
            raise ActionError("action-failed", f"{relative} is there already") from e
        finally:
            os.close(source)


def copy_data(source: int, target: int) -> None:
    """Copy everything from one fd to another (copy_file_range(2) where both sides can)."""
    try:
        while os.copy_file_range(source, target, _CHUNK):
            pass
    except OSError:
        # Across file systems of different kinds, or from one that has no sizes: by hand, from where it stopped.
        while data := os.read(source, 1 << 20):
            durable.write_all(target, data)
