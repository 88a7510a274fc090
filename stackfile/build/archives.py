"""Build contexts that come as one tar archive (Docker's POST /build). `take` runs in a worker process."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

from stackfile import digest as digests
from stackfile import wire
from stackfile.errors import ActionError
from stackfile.images import compression, durable, members
from stackfile.images.blobs import MAXIMUM, BlobStore
from stackfile.model.ignore import Ignore
from stackfile.model.image import ContextEntry, ContextManifest
from stackfile.paths import StatePaths

_TYPES = {b"0": "file", b"5": "dir", b"2": "symlink"}
_CHUNK = 1 << 20
_IGNORE = ".dockerignore"


@dataclass(frozen=True, slots=True)
class Taken:
    """A context: digest and text of its manifest, and the text of its Dockerfile (None where it has not that)."""

    digest: str
    manifest: str
    dockerfile: str | None


def take(root: str, archive: str, dockerfile: str) -> Taken:
    """Keep the files of an archive (perhaps compressed) as blobs.

    The client leaves out what `.dockerignore` names, but sends that file and the Dockerfile even so: they go here.
    ActionError (`bad-archive`, `unsafe-path`, `disk-full`).
    """
    paths = StatePaths(root)
    blobs = BlobStore(paths.blobs, paths.temporary)
    plain = durable.temporary_name(paths.temporary, "context-")
    try:
        with durable.full_disk(plain), open(plain, "xb") as file, compression.Part(archive) as part:
            compression.expand(part, lambda data: durable.write_all(file.fileno(), data), MAXIMUM)
        entries = _entries(plain, blobs)
    finally:
        if os.path.exists(plain):
            os.unlink(plain)
    dockerfile = os.path.normpath(dockerfile.lstrip("/"))
    text = _text(entries, dockerfile, blobs)
    ignore = Ignore(_text(entries, _IGNORE, blobs) or "")
    for path in (_IGNORE, dockerfile):
        if ignore.ignored(path):
            entries.pop(path, None)
    manifest = wire.canonical(ContextManifest(entries=tuple(entries[path] for path in sorted(entries))))
    return Taken(digests.sha256(manifest), manifest.decode(), text)


def _text(entries: dict[str, ContextEntry], path: str, blobs: BlobStore) -> str | None:
    entry = entries.get(path)
    return blobs.read(entry.digest).decode(errors="replace") if entry is not None and entry.digest else None


def _entries(path: str, blobs: BlobStore) -> dict[str, ContextEntry]:
    entries = {".": ContextEntry(path=".", type="dir", mode=0o755)}
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return entries
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            for found in members.read(view):
                entry = _entry(found, view, blobs, entries)
                if entry is not None:
                    _parents(entry.path, entries)
                    entries[entry.path] = entry
    return entries


def _entry(
    found: members.Found, view: memoryview, blobs: BlobStore, entries: dict[str, ContextEntry]
) -> ContextEntry | None:
    name = found.name.decode(errors="surrogateescape")
    path = os.path.normpath(name.lstrip("/") or ".")
    if path == ".." or path.startswith("../"):
        raise ActionError("unsafe-path", f"the build context holds {name!r}")
    if path == ".":
        return None
    if found.kind == b"1":
        target = os.path.normpath(found.link.decode(errors="surrogateescape").lstrip("/"))
        if target not in entries:
            raise ActionError("bad-archive", f"the build context: {name!r} is a link to nothing before it")
        linked = entries[target]
        return ContextEntry(path=path, type="file", mode=linked.mode, size=linked.size, digest=linked.digest)
    kind = _TYPES.get(found.kind)
    if kind is None:
        raise ActionError("bad-archive", f"the build context: {name!r} is neither a file, a directory nor a link")
    if kind == "symlink":
        return ContextEntry(path=path, type=kind, mode=0o777, target=found.link.decode(errors="surrogateescape"))
    if kind == "dir":
        return ContextEntry(path=path, type=kind, mode=found.mode)
    end = found.start + found.size
    digest = blobs.put(bytes(view[at : min(at + _CHUNK, end)]) for at in range(found.start, end, _CHUNK))
    return ContextEntry(path=path, type=kind, mode=found.mode, size=found.size, digest=digest)


def _parents(path: str, entries: dict[str, ContextEntry]) -> None:
    """Directories that an archive leaves out."""
    parent = os.path.dirname(path)
    while parent and parent not in entries:
        entries[parent] = ContextEntry(path=parent, type="dir", mode=0o755)
        parent = os.path.dirname(parent)
