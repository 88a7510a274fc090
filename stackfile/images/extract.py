"""Unpacks a layer's tar into a directory as overlay wants it: `.wh.NAME` becomes a 0/0 device, `.wh..wh..opq` the
opaque attribute (OCI image-spec layer.md#whiteouts; kernel overlayfs.rst).

Nothing leaves the directory, whatever the archive says: every component is opened by an fd of its parent with
O_NOFOLLOW, files are made with O_EXCL. Device nodes of an archive are left out: /dev of a container is made new, and
elsewhere its device rules forbid them.
"""

from __future__ import annotations

import mmap
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from stackfile.errors import ActionError
from stackfile.images import copytree, durable, members
from stackfile.images.members import Found
from stackfile.images.view import MergedView

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_OPAQUE_ATTRIBUTE = "trusted.overlay.opaque"
_KEPT_ATTRIBUTES = (b"user.", b"system.posix_acl_", b"security.capability")
_MOST_OPEN = 200


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What came out: members that are not directories, bytes of content."""

    files: int
    size: int


def extract(archive: str, target: str, lower: Sequence[str] = ()) -> Unpacked:
    """Unpack the tar file `archive` into the empty directory `target`; `lower` are the layers below, topmost first.

    A directory that holds members but is not listed takes owner, mode, times and attributes from the layer below.
    ActionError: `unsafe-path`, `bad-archive`, `disk-full`.
    """
    with open(archive, "rb") as file:
        # Not closed by hand: an error under way may still hold a part of it.
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    with MergedView(lower) as below, durable.full_disk(target):
        return _Extraction(memoryview(mapped), target, below).run()


class _Extraction:
    def __init__(self, archive: memoryview, target: str, below: MergedView) -> None:
        self._archive = archive
        self._below = below
        self._has_below = bool(below.depth)
        self._fds: dict[bytes, int] = {b"": os.open(target, _DIRECTORY)}
        self._listed: dict[bytes, int] = {}
        self._implicit: set[bytes] = set()
        self._files = 0
        self._size = 0

    def run(self) -> Unpacked:
        try:
            self._inherit(b"", self._fds[b""])
            for found in members.read(self._archive):
                self._place(found)
            self._finish_times()
        finally:
            for fd in self._fds.values():
                os.close(fd)
        return Unpacked(self._files, self._size)

    def _place(self, found: Found) -> None:
        path = _clean(found.name)
        if found.kind == b"5":
            self._directory(found, path)
            return
        parent, _, base = path.rpartition(b"/")
        if not base:
            raise _unsafe(found.name)
        fd = self._open(parent)
        if base == _OPAQUE:
            os.setxattr(fd, _OPAQUE_ATTRIBUTE, b"y")
        elif base.startswith(_WHITEOUT):
            self._whiteout(fd, parent, base, found)
        else:
            self._other(found, fd, path, base)

    def _other(self, found: Found, fd: int, path: bytes, base: bytes) -> None:
        make = {b"0": self._file, b"1": self._hardlink, b"2": self._symlink, b"6": self._fifo}.get(found.kind)
        if make is None:
            if found.kind in b"34":
                return
            raise ActionError("bad-archive", f"member {os.fsdecode(path)} has the unknown type {found.kind!r}")
        self._files += 1
        try:
            make(found, fd, base)
        except FileExistsError:
            # A later member of the same name wins.
            self._clear(fd, path, base)
            make(found, fd, base)

    def _file(self, found: Found, fd: int, base: bytes) -> None:
        file = os.open(base, _NEW, 0o600, dir_fd=fd)
        try:
            durable.write_all(file, self._archive[found.start : found.start + found.size])
            self._attributes(file, found)
        finally:
            os.close(file)
        self._size += found.size

    def _symlink(self, found: Found, fd: int, base: bytes) -> None:
        if not found.link:
            raise ActionError("bad-archive", f"link {os.fsdecode(found.name)} has no target")
        os.symlink(found.link, base, dir_fd=fd)
        self._owner_and_time(found, fd, base)

    def _fifo(self, found: Found, fd: int, base: bytes) -> None:
        os.mkfifo(base, 0o600, dir_fd=fd)
        os.chmod(base, found.mode, dir_fd=fd)
        self._owner_and_time(found, fd, base)

    def _hardlink(self, found: Found, fd: int, base: bytes) -> None:
        source = _clean(found.link)
        parent, _, name = source.rpartition(b"/")
        if not name:
            raise _unsafe(found.link)
        if source == _clean(found.name):
            return
        source_fd = self._open(parent)
        try:
            status = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
        except FileNotFoundError:
            self._copy_up(source, source_fd, name)
            status = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) or stat.S_ISCHR(status.st_mode):
            raise _unsafe(found.link)
        # The directory's fd may have been closed to stay below the limit.
        os.link(name, base, src_dir_fd=self._open(parent), dst_dir_fd=fd, follow_symlinks=False)

    def _copy_up(self, path: bytes, fd: int, name: bytes) -> None:
        """Bring a file of the layers below into this one, so that it can be linked to."""
        node = self._below.lookup(os.fsdecode(path), follow=False) if self._has_below else None
        if node is None:
            raise ActionError("bad-archive", f"a hard link leads to {os.fsdecode(path)}, which does not exist")
        with node:
            if not stat.S_ISREG(node.status.st_mode):
                raise _unsafe(path)
            source = node.open()
            try:
                target = os.open(name, _NEW, 0o600, dir_fd=fd)
                try:
                    copytree.copy_data(source, target)
                    copytree.apply_attributes(node, target)
                finally:
                    os.close(target)
            finally:
                os.close(source)

    def _whiteout(self, fd: int, parent: bytes, base: bytes, found: Found) -> None:
        hidden = base[len(_WHITEOUT) :]
        if hidden.startswith(_WHITEOUT):
            return  # AUFS's own files
        if hidden in (b"", b".", b".."):
            raise _unsafe(found.name)
        try:
            status = os.stat(hidden, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            os.mknod(hidden, 0o600 | stat.S_IFCHR, 0, dir_fd=fd)
            return
        if stat.S_ISDIR(status.st_mode):
            # Both removed and made anew by this layer: what is below shows no more.
            path = parent + b"/" + hidden if parent else hidden
            os.setxattr(self._open(path), _OPAQUE_ATTRIBUTE, b"y")

    def _directory(self, found: Found, path: bytes) -> None:
        if not path:
            self._attributes(self._fds[b""], found)
            self._listed[b""] = found.mtime_ns
            return
        parent, _, base = path.rpartition(b"/")
        fd = self._open(parent)
        hidden = False
        try:
            os.mkdir(base, 0o700, dir_fd=fd)
        except FileExistsError:
            status = os.stat(base, dir_fd=fd, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                hidden = stat.S_ISCHR(status.st_mode)
                self._clear(fd, path, base)
                os.mkdir(base, 0o700, dir_fd=fd)
        own = self._open(path)
        if hidden:
            os.setxattr(own, _OPAQUE_ATTRIBUTE, b"y")
        self._attributes(own, found)
        self._listed[path] = found.mtime_ns
        self._implicit.discard(path)

    def _open(self, path: bytes) -> int:
        """The fd of a directory of this layer, made (after the layer below) when it is not there."""
        fd = self._fds.get(path)
        if fd is not None:
            return fd
        parent, _, base = path.rpartition(b"/")
        above = self._open(parent)
        try:
            fd = os.open(base, _DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            os.mkdir(base, 0o755, dir_fd=above)
            fd = os.open(base, _DIRECTORY, dir_fd=above)
            self._inherit(path, fd)
        except NotADirectoryError as e:
            raise _unsafe(path) from e
        if len(self._fds) > _MOST_OPEN:
            self._close_some(keep=parent)
        self._fds[path] = fd
        return fd

    def _close_some(self, keep: bytes) -> None:
        """Close directories that are not on the way to `keep`."""
        for path in list(self._fds):
            if path and keep != path and not keep.startswith(path + b"/"):
                os.close(self._fds.pop(path))

    def _inherit(self, path: bytes, fd: int) -> None:
        """Attributes of a directory that the archive does not list (or not yet)."""
        os.fchmod(fd, 0o755)
        self._implicit.add(path)
        node = self._below.lookup(os.fsdecode(path), follow=False) if self._has_below else None
        if node is None:
            return
        with node:
            if node.is_directory:
                copytree.apply_attributes(node, fd)

    def _clear(self, fd: int, path: bytes, base: bytes) -> None:
        """Remove what an earlier member of the same archive made."""
        status = os.stat(base, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(base, dir_fd=fd)
            return
        for known in list(self._fds):
            if _below(known, path):
                os.close(self._fds.pop(known))
        self._listed = {known: mtime for known, mtime in self._listed.items() if not _below(known, path)}
        self._implicit = {known for known in self._implicit if not _below(known, path)}
        shutil.rmtree(os.fsdecode(base), dir_fd=fd)

    def _attributes(self, fd: int, found: Found) -> None:
        os.fchown(fd, found.uid, found.gid)
        os.fchmod(fd, found.mode)
        for name, value in found.xattrs.items():
            if name.startswith(_KEPT_ATTRIBUTES):
                os.setxattr(fd, name, value)
        os.utime(fd, ns=(found.mtime_ns, found.mtime_ns))

    @staticmethod
    def _owner_and_time(found: Found, fd: int, base: bytes) -> None:
        os.chown(base, found.uid, found.gid, dir_fd=fd, follow_symlinks=False)
        os.utime(base, ns=(found.mtime_ns, found.mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _finish_times(self) -> None:
        """Times of directories last, deepest first: filling them changed them."""
        for path in sorted(self._listed.keys() | self._implicit, key=lambda item: item.count(b"/"), reverse=True):
            mtime = self._listed.get(path)
            if mtime is not None:
                os.utime(self._open(path), ns=(mtime, mtime))
            else:
                self._inherit_time(path)

    def _inherit_time(self, path: bytes) -> None:
        node = self._below.lookup(os.fsdecode(path), follow=False) if self._has_below else None
        if node is None:
            os.utime(self._open(path), ns=(0, 0))
            return
        with node:
            os.utime(self._open(path), ns=(node.status.st_atime_ns, node.status.st_mtime_ns))


def _clean(name: bytes) -> bytes:
    """A member's name as a relative path. ActionError (`unsafe-path`) where it points upwards."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise _unsafe(name)
    return b"/".join(parts)


def _below(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory + b"/")


def _unsafe(name: bytes) -> ActionError:
    return ActionError("unsafe-path", f"the archive's member {os.fsdecode(name)!r} leads out of the layer")
