"""Where copied files go: the rules of Dockerfile's COPY. Runs in a worker process.

A directory's content goes into the target, which is a directory then; a file goes into the target where that ends
with a slash, is a directory of the image, or there are several sources; else it gets the target's name.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stackfile.errors import ActionError
from stackfile.images.archive import Member
from stackfile.images.view import MergedView, absolute


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source, found: its own entry, and (of a directory) everything below with relative paths."""

    name: str
    entry: Member
    below: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to, resolved: `path` absolute, `directory` when it was written with a slash at its end."""

    path: str
    directory: bool
    owner: tuple[int, int] = (0, 0)
    keep_owner: bool = False
    mode: int | None = None


def target_of(text: str, working_dir: str) -> tuple[str, bool]:
    """(absolute path, written as a directory) of a target."""
    directory = text.endswith(("/", "/.")) or text in (".", "")
    return absolute(posixpath.join(working_dir or "/", text or ".")), directory


def members(sources: Sequence[Source], target: Target, view: MergedView) -> list[Member]:
    """Members of the layer that copies `sources`. ActionError (`build-failed`) where a file stands in the way."""
    copying = _Copying(target, view)
    several = len(sources) > 1
    if several and not target.directory and not copying.is_directory(target.path):
        raise ActionError("build-failed", f"copy of several sources: the target {target.path} is not a directory",
                          hint=f"end it with a slash: {target.path}/")  # fmt: skip
    for source in sources:
        copying.copy(source, several)
    return list(copying.made.values())


@dataclass(slots=True)
class _Copying:
    target: Target
    view: MergedView
    made: dict[str, Member] = field(default_factory=dict)
    _ways: dict[str, str] = field(default_factory=dict)

    def copy(self, source: Source, several: bool) -> None:
        base = self.target.path
        if source.entry.type == "dir":
            self._directory(base)
            for member in source.below:
                self._place(posixpath.join(base, member.path), member)
            return
        if self.target.directory or several or self.is_directory(base):
            base = posixpath.join(base, posixpath.basename(source.name))
        self._place(base, source.entry)

    def is_directory(self, path: str) -> bool:
        """Whether the image has a directory there (or a link to one)."""
        node = self.view.lookup(path)
        if node is None:
            return False
        with node:
            return node.is_directory

    def _place(self, path: str, member: Member) -> None:
        if member.type == "dir":
            self._directory(path, member.mode)
            return
        parent = self._directory(posixpath.dirname(path))
        path = posixpath.join(parent, posixpath.basename(path))
        if self._has(path) == "dir" or (path in self.made and self.made[path].type == "dir"):
            raise ActionError("build-failed", f"copy: {path} is a directory of the image, not a file")
        self.made[path] = self._owned(replace(member, path=path[1:]))

    def _directory(self, path: str, mode: int = 0o755) -> str:
        """See that a directory exists; returns its real path in the image. New parents of a target are root's."""
        known = self._ways.get(path)
        if known is not None:
            return known
        if path == "/":
            return "/"
        above = self._directory(posixpath.dirname(path))
        real = posixpath.join(above, posixpath.basename(path))
        present = self._has(real)
        if present == "link":
            real = self.view.canonical(real)
            present = self._has(real)
        if present == "other" or (real in self.made and self.made[real].type != "dir"):
            raise ActionError("build-failed", f"copy: {real} is a file of the image, not a directory")
        if not present and real not in self.made:
            fresh = Member(path=real[1:], type="dir", mode=mode)
            inside = path == self.target.path or path.startswith(self.target.path.rstrip("/") + "/")
            self.made[real] = self._owned(fresh) if inside else fresh
        self._ways[path] = real
        return real

    def _has(self, path: str) -> str:
        """What the image has there: dir, link, other, or nothing."""
        node = self.view.lookup(path, follow=False)
        if node is None:
            return ""
        with node:
            if node.is_directory:
                return "dir"
            return "link" if stat.S_ISLNK(node.status.st_mode) else "other"

    def _owned(self, member: Member) -> Member:
        if not self.target.keep_owner:
            member = replace(member, uid=self.target.owner[0], gid=self.target.owner[1])
        if self.target.mode is not None and member.type != "symlink":
            member = replace(member, mode=self.target.mode)
        return member
