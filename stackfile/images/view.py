"""The merged view of a stack of layer directories, read without mounting it.

Says what overlay would show (kernel Documentation/filesystems/overlayfs.rst: whiteouts, opaque directories), resolves
links inside the root as a chroot would, and never leaves it: every step is an openat of one name with O_NOFOLLOW, so
that a container that rearranges its files meanwhile gains nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stackfile.errors import ActionError

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPAQUE = "trusted.overlay.opaque"
_MAXIMUM_LINKS = 40
_HIDDEN_ATTRIBUTES = "trusted.overlay."


@dataclass(slots=True)
class Node:
    """A file of the merged view, held open: `fds` are the directories that make up a directory (topmost first), or
    the one file. A context manager: closes them.
    """

    path: str
    status: os.stat_result
    fds: tuple[int, ...]

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = ()

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def link(self) -> str:
        """Target of a symbolic link."""
        return os.readlink("", dir_fd=self.fds[0])

    @property
    def magic(self) -> str:
        """A path that means exactly this file, for calls that have no fd form for O_PATH."""
        return f"/proc/self/fd/{self.fds[0]}"

    def open(self) -> int:
        """An fd to read a regular file from."""
        assert stat.S_ISREG(self.status.st_mode), self.path
        return os.open(self.magic, os.O_RDONLY | os.O_CLOEXEC)

    def attributes(self) -> dict[str, bytes]:
        """Extended attributes, overlay's own left out. None of a symbolic link."""
        if stat.S_ISLNK(self.status.st_mode):
            return {}
        try:
            names = os.listxattr(self.magic)
        except OSError:
            return {}  # a file system without attributes
        return {name: os.getxattr(self.magic, name) for name in names if not name.startswith(_HIDDEN_ATTRIBUTES)}


class MergedView:
    """Layer directories, topmost first, as one tree. A context manager."""

    def __init__(self, layers: Sequence[str]) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._roots = tuple(os.open(layer, flags) for layer in layers)

    def __enter__(self) -> MergedView:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._roots:
            os.close(fd)
        self._roots = ()

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self._roots)

    def lookup(self, path: str, *, follow: bool = True) -> Node | None:
        """The file at `path`, links followed inside the root (the last one only with `follow`). None if absent."""
        with _Walker(self) as walker:
            return walker.go(path, follow)

    def canonical(self, path: str) -> str:
        """`path` with every link resolved inside the root; what does not exist yet is kept as it is written."""
        with _Walker(self) as walker:
            return walker.canonical(path)

    def read(self, path: str, limit: int) -> bytes | None:
        """Content of a regular file. ActionError (`action-failed`) when it has more than `limit` bytes."""
        node = self.lookup(path)
        if node is None:
            return None
        with node:
            if not stat.S_ISREG(node.status.st_mode):
                return None
            with open(node.open(), "rb") as file:
                data = file.read(limit + 1)
        if len(data) > limit:
            raise ActionError("action-failed", f"{path} is larger than {limit} bytes")
        return data

    def names(self, directory: Node) -> list[str]:
        """Names in a directory, sorted."""
        seen: dict[str, bool] = {}
        for fd in directory.fds:
            listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            try:
                with os.scandir(listing) as entries:
                    for entry in entries:
                        if entry.name not in seen:
                            seen[entry.name] = not _is_whiteout(entry.stat(follow_symlinks=False))
            finally:
                os.close(listing)
        return sorted(name for name, there in seen.items() if there)

    def child(self, directory: Node, name: str) -> Node | None:
        """The file `name` in a directory, not followed."""
        found: list[int] = []
        status: os.stat_result | None = None
        for parent in directory.fds:
            try:
                fd = os.open(name, _PATH, dir_fd=parent)
            except FileNotFoundError:
                continue
            here = os.fstat(fd)
            if not stat.S_ISDIR(here.st_mode):
                if found or _is_whiteout(here):
                    os.close(fd)
                    break
                return Node(_join(directory.path, name), here, (fd,))
            found.append(fd)
            status = status or here
            if _is_opaque(fd):
                break
        return Node(_join(directory.path, name), status, tuple(found)) if status else None

    def walk(self, node: Node) -> Iterator[Node]:
        """Everything below a directory, parents first, by name. A node is closed when the next one is taken."""
        for name in self.names(node):
            child = self.child(node, name)
            if child is None:
                continue  # removed since it was listed
            with child:
                yield child
                if child.is_directory:
                    yield from self.walk(child)

    def root(self) -> Node:
        """The root directory."""
        assert self._roots, "a view without layers"
        fds = tuple(os.dup(fd) for fd in self._roots)
        return Node("/", os.fstat(fds[0]), fds)


class _Walker:
    """A path resolution under way: the chain of directories from the root to where it stands."""

    def __init__(self, view: MergedView) -> None:
        self._view = view
        self._chain: list[Node] = [view.root()] if view._roots else []
        self._links = 0

    def __enter__(self) -> _Walker:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self._chain:
            node.close()

    def go(self, path: str, follow: bool) -> Node | None:
        """Where `path` leads, as a node of its own."""
        if not self._chain:
            return None
        last = self._advance(_parts(path), follow)
        if last is None or last.remaining:
            if last is not None and last.node is not None:
                last.node.close()
            return None
        if last.node is not None:
            return last.node
        return self._chain.pop()

    def canonical(self, path: str) -> str:
        if not self._chain:
            return absolute(path)
        last = self._advance(_parts(path), follow=True)
        if last is None:
            raise ActionError("action-failed", f"{path}: too many levels of symbolic links")
        base = last.node.path if last.node is not None else self._chain[-1].path
        if last.node is not None:
            last.node.close()
        return absolute("/".join([base, *last.remaining]))

    def _advance(self, parts: list[str], follow: bool) -> _Stop | None:
        """Go on until the path ends, a name is absent, or a file stands in the way. None for a loop of links."""
        while parts:
            name = parts.pop(0)
            if name == "..":
                if len(self._chain) > 1:
                    self._chain.pop().close()
                continue
            node = self._view.child(self._chain[-1], name)
            if node is None:
                return _Stop(None, [name, *parts])
            if node.is_directory:
                self._chain.append(node)
            elif stat.S_ISLNK(node.status.st_mode) and (parts or follow):
                target = node.link
                node.close()
                self._links += 1
                if self._links > _MAXIMUM_LINKS:
                    return None
                if target.startswith("/"):
                    self._back_to_root()
                parts = _parts(target) + parts
            else:
                return _Stop(node, parts)
        return _Stop(None, [])

    def _back_to_root(self) -> None:
        while len(self._chain) > 1:
            self._chain.pop().close()


@dataclass(slots=True)
class _Stop:
    """Where a resolution ended: at a file (`node`), or at the directory on top of the chain; and what is left."""

    node: Node | None
    remaining: list[str]


def absolute(path: str) -> str:
    """A path as an absolute one without `.`, `..` and doubled slashes (normpath keeps two leading ones)."""
    return "/" + os.path.normpath(f"/{path}").lstrip("/")


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _join(directory: str, name: str) -> str:
    return f"/{name}" if directory == "/" else f"{directory}/{name}"


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(f"/proc/self/fd/{fd}", _OPAQUE) == b"y"
    except OSError:
        return False
