"""What the sources of a copy step name: entries of a build context, or files of another image."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import posixpath
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

from stackfile.build.contexts import linked
from stackfile.build.copying import Source
from stackfile.errors import ActionError
from stackfile.images import durable, extract
from stackfile.images.archive import Member
from stackfile.images.view import MergedView, Node, absolute
from stackfile.model.image import ContextEntry, ContextManifest
from stackfile.model.patterns import has_wildcard, matches, normal
from stackfile.paths import StatePaths

_MAGICS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_TAR_MAGIC = slice(257, 262)
_CHUNK = 1 << 20
_LARGEST = 64 << 30


@dataclass(frozen=True, slots=True)
class ContextSources:
    """A context, whose files are blobs below `blobs`."""

    manifest: ContextManifest
    blobs: str
    inline: tuple[tuple[str, str], ...] = ()
    """Sources that stand in the Dockerfile: name and text."""

    def choose(self, names: Sequence[str]) -> list[Source]:
        """The sources in order; a pattern may be several. ActionError (`build-failed`) when one is nothing."""
        entries = {entry.path: entry for entry in self.manifest.entries}
        found: list[Source] = []
        for name in names:
            pattern = normal(name)
            paths = [pattern] if not has_wildcard(pattern) else sorted(p for p in entries if matches(pattern, p))
            chosen = [path for path in paths if path in entries]
            if not chosen:
                raise ActionError("build-failed", f"the context has no {name}")
            found += [self._source(entries, path) for path in chosen]
        return found + [_inline(name, text.encode()) for name, text in self.inline]

    def _source(self, entries: dict[str, ContextEntry], name: str) -> Source:
        path = linked(entries, name)
        prefix = "" if path == "." else f"{path}/"
        below = tuple(
            self._member(entry, item[len(prefix) :])
            for item, entry in entries.items()
            if item.startswith(prefix) and item != "."
        )
        return Source(name=name, entry=self._member(entries[path], name), below=below)

    def _member(self, entry: ContextEntry, path: str) -> Member:
        content = f"{self.blobs}/{entry.digest.replace(':', '/', 1)}" if entry.type == "file" else b""
        return Member(path=path, type=entry.type, mode=entry.mode, size=entry.size, target=entry.target,
                      content=content, digest=entry.digest)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImageSources:
    """Files of another image, by its layer directories (topmost first). `owners`: they keep theirs."""

    lower: tuple[str, ...]
    owners: bool = False


def _inline(name: str, data: bytes) -> Source:
    return Source(name=name, entry=Member(path=name, type="file", mode=0o644, size=len(data), content=data))


class _ViewSources:
    def __init__(self, view: MergedView, owners: bool) -> None:
        self._view = view
        self._owners = owners

    def choose(self, names: Sequence[str]) -> list[Source]:
        found: list[Source] = []
        for name in names:
            paths = self._expand(absolute(name))
            if not paths:
                raise ActionError("build-failed", f"the image has no {name}")
            found += [self._source(path) for path in paths]
        return found

    def _expand(self, pattern: str) -> list[str]:
        if not has_wildcard(pattern):
            node = self._view.lookup(pattern)
            if node is None:
                return []
            node.close()
            return [pattern]
        directory = self._view.lookup(posixpath.dirname(pattern))
        if directory is None:
            return []
        with directory:
            names = self._view.names(directory)
        candidates = (posixpath.join(posixpath.dirname(pattern), name) for name in names)
        return [path for path in candidates if matches(pattern, path)]

    def _source(self, path: str) -> Source:
        node = self._view.lookup(path)
        if node is None:
            raise ActionError("build-failed", f"the image has no {path}")
        with node:
            start = len(node.path.rstrip("/")) + 1
            below = tuple(self._member(child, child.path[start:]) for child in self._view.walk(node)) \
                if node.is_directory else ()  # fmt: skip
            return Source(name=path, entry=self._member(node, posixpath.basename(path) or "."), below=below)

    def _member(self, node: Node, path: str) -> Member:
        member = _of_node(node, path)
        return _with_owner(member, node) if self._owners else member


@contextmanager
def opened(found: ContextSources | ImageSources) -> Iterator[ContextSources | _ViewSources]:
    """The sources, ready to choose from."""
    if isinstance(found, ContextSources):
        yield found
        return
    with MergedView(found.lower) as view:
        yield _ViewSources(view, found.owners)


def _of_node(node: Node, path: str) -> Member:
    mode = node.status.st_mode
    xattrs = node.attributes()
    if stat.S_ISDIR(mode):
        return Member(path=path, type="dir", mode=stat.S_IMODE(mode), xattrs=xattrs)
    if stat.S_ISLNK(mode):
        return Member(path=path, type="symlink", mode=0o777, target=node.link)
    if not stat.S_ISREG(mode):
        raise ActionError("build-failed", f"copy: {node.path} is neither a file, a directory nor a link")
    # Layers never change, so the path where the file lies today stays true.
    return Member(path=path, type="file", mode=stat.S_IMODE(mode), size=node.status.st_size,
                  content=os.readlink(node.magic), xattrs=xattrs)  # fmt: skip


@contextmanager
def unpacked(chosen: Sequence[Source], root: str) -> Iterator[tuple[list[Source], list[Source]]]:
    """Plain sources, and local tar archives (also gzip, bzip2, xz) as the directories that are in them."""
    temporary = StatePaths(root).temporary
    plain: list[Source] = []
    archives: list[Source] = []
    directories: list[str] = []
    try:
        for source in chosen:
            content = source.entry.content
            if source.entry.type == "file" and isinstance(content, str) and _is_archive(content):
                directory = durable.temporary_directory(temporary, "add-")
                directories.append(directory)
                archives.append(_unpack(source, content, directory))
            else:
                plain.append(source)
        yield plain, archives
    finally:
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)


def _is_archive(path: str) -> bool:
    try:
        with _decompressed(path) as file:
            return file.read(512)[_TAR_MAGIC] == b"ustar"
    except (OSError, EOFError, lzma.LZMAError):
        return False


def _decompressed(path: str) -> BinaryIO:
    with open(path, "rb") as file:
        start = file.read(6)
    for magic, opener in _MAGICS:
        if start.startswith(magic):
            return cast(BinaryIO, opener(path, "rb"))
    return open(path, "rb")


def _unpack(source: Source, path: str, directory: str) -> Source:
    tar = f"{directory}/archive.tar"
    with durable.full_disk(tar), _decompressed(path) as file, open(tar, "xb") as target:
        left = _LARGEST
        while data := file.read(_CHUNK):
            left -= len(data)
            if left < 0:
                raise ActionError("bad-archive", f"{source.name} is larger than {_LARGEST} bytes when unpacked")
            target.write(data)
    content = f"{directory}/content"
    os.mkdir(content, 0o755)
    extract.extract(tar, content)
    with MergedView([content]) as view, view.root() as root:
        below = tuple(_with_owner(_of_node(child, child.path[1:]), child) for child in view.walk(root))
    return Source(name=source.name, entry=Member(path=".", type="dir", mode=0o755), below=below)


def _with_owner(member: Member, node: Node) -> Member:
    return replace(member, uid=node.status.st_uid, gid=node.status.st_gid, mtime=int(node.status.st_mtime))
