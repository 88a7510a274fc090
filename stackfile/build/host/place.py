"""Fits a host tree on the layers below it: what becomes a member of the new layer, and at which path.

Links of this machine such as /bin → usr/bin meet images whose /bin is a directory, and the other way round: what the
image has stays, and files go where the image's own links lead.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from stackfile.build.host import accounts, bytecode
from stackfile.build.host.files import HostFile
from stackfile.build.host.tree import HostTree
from stackfile.images.archive import Member
from stackfile.images.view import MergedView

_LARGEST_ACCOUNTS = 1 << 20


def members(tree: HostTree, below: MergedView) -> list[Member]:
    """Members of the layer that brings `tree` on top of `below`."""
    placing = _Placing(below)
    for file in tree.files:
        placing.place(file)
    for alias, real in tree.aliases.items():
        placing.alias(alias, real)
    placing.compile(tree)
    placing.accounts(accounts.PASSWD, tree.passwd)
    placing.accounts(accounts.GROUP, tree.group)
    return list(placing.members.values())


class _Placing:
    def __init__(self, below: MergedView) -> None:
        self._below = below
        self._ways: dict[str, str] = {"": ""}
        self._refused: set[str] = set()
        self._sources: dict[str, dict[str, str]] = {}
        """Cache tag of an interpreter → its sources here → their paths in the image."""
        self.members: dict[str, Member] = {}

    def place(self, file: HostFile) -> None:
        """Make members of one file, or leave it out in favour of what the image has."""
        path = self._where(file.path)
        present = self._present(path)
        if present and (file.extra or present == "dir"):
            if present == "dir" and file.type == "symlink":
                self._refused.add(file.path)
            return
        if present == "symlink" and file.type == "dir":
            return  # `_where` leads through it
        if file.type == "file":
            self._file(file, path)
        else:
            self._add(path, Member(path=path[1:], type=file.type, mode=file.mode, uid=file.uid, gid=file.gid,
                                   target=file.target))  # fmt: skip

    def alias(self, alias: str, real: str) -> None:
        """Keep a path usable that led through a link which the image has as a directory."""
        if not any(alias.startswith(f"{path}/") for path in self._refused):
            return
        path = self._where(alias)
        if path not in self.members and not self._present(path):
            self._add(path, Member(path=path[1:], type="symlink", mode=0o777, target=real))

    def compile(self, tree: HostTree) -> None:
        """Add the compiled form of the Python sources."""
        for tag, sources in self._sources.items():
            made = bytecode.compile_all(list(sources), tag, _interpreter(tree, tag))
            for source, data in made.items():
                target = bytecode.cached_path(sources[source], tag)
                directory = os.path.dirname(target)
                self._add(directory, Member(path=directory[1:], type="dir", mode=0o755))
                self._add(target, Member(path=target[1:], type="file", mode=0o644, size=len(data), content=data))

    def accounts(self, file: str, lines: Sequence[str]) -> None:
        """Add lines to the image's passwd or group file."""
        if not lines:
            return
        path = self._where(file)
        member = self.members.get(path)
        text = member.content if member is not None and isinstance(member.content, bytes) else b""
        if member is None:
            text = self._below.read(path, _LARGEST_ACCOUNTS) or b""
        data = accounts.merged(text.decode("utf-8", "surrogateescape"), lines).encode("utf-8", "surrogateescape")
        self._add(path, Member(path=path[1:], type="file", mode=0o644, size=len(data), content=data))

    def _file(self, file: HostFile, path: str) -> None:
        content: bytes | str = file.data.encode() if not file.digest else (file.target or file.path)
        xattrs = {"security.capability": bytes.fromhex(file.capability)} if file.capability else {}
        self._add(path, Member(path=path[1:], type="file", mode=file.mode, uid=file.uid, gid=file.gid, size=file.size,
                               content=content, digest=file.digest, xattrs=xattrs))  # fmt: skip
        if file.interpreter:
            self._sources.setdefault(file.interpreter, {})[file.path] = path

    def _add(self, path: str, member: Member) -> None:
        self.members[path] = member

    def _where(self, path: str) -> str:
        """The path in the image, with the image's own links on the way followed."""
        parent, _, name = path.rpartition("/")
        return f"{self._way(parent)}/{name}"

    def _way(self, directory: str) -> str:
        known = self._ways.get(directory)
        if known is None:
            parent, _, name = directory.rpartition("/")
            here = f"{self._way(parent)}/{name}"
            known = self._below.canonical(here) if self._present(here) == "symlink" else here
            self._ways[directory] = known
        return known

    def _present(self, path: str) -> str:
        """What the image has there: dir, symlink, other, or nothing."""
        node = self._below.lookup(path, follow=False)
        if node is None:
            return ""
        with node:
            if node.is_directory:
                return "dir"
            return "symlink" if stat.S_ISLNK(node.status.st_mode) else "other"


def _interpreter(tree: HostTree, tag: str) -> str:
    """Path of the interpreter with a cache tag: `python3.11` for cpython-311."""
    digits = tag.removeprefix("cpython-")
    name = f"python{digits[:1]}.{digits[1:]}"
    return next((file.path for file in tree.files if file.type == "file" and os.path.basename(file.path) == name), "")
