"""Build contexts at the engine: manifests in `contexts/<hex>.json`, their files as blobs."""

from __future__ import annotations

import os
import posixpath
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from stackfile import digest as digests
from stackfile import wire
from stackfile.errors import ActionError, NotFoundError, StackError
from stackfile.images import durable
from stackfile.images.blobs import BlobStore
from stackfile.model.image import ContextEntry, ContextManifest
from stackfile.model.patterns import has_wildcard, matches, normal
from stackfile.paths import StatePaths

_KEPT_SECONDS = 7 * 86400
_TYPES = ("file", "dir", "symlink")
_MAXIMUM_LINKS = 40
_ENTRIES = 50_000
"""Entries of manifests that are remembered (some 20 MB)."""
K = TypeVar("K")
V = TypeVar("V")


class _Recent(Generic[K, V]):
    """What was put last, by key, together no heavier than `_ENTRIES` (a single one may be)."""

    def __init__(self) -> None:
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: K) -> V | None:
        found = self._values.get(key)
        return found[0] if found is not None else None

    def put(self, key: K, value: V, weight: int) -> V:
        """Remember a value, and forget the oldest where they are too heavy then; returns it."""
        if key not in self._values:
            self._values[key] = (value, weight + 1)
            self._weight += weight + 1
        while len(self._values) > 1 and self._weight > _ENTRIES:
            _, (_, freed) = self._values.popitem(last=False)
            self._weight -= freed
        return value


class ContextStore:
    """What clients sent of the files that copy steps name. Content is known by digest and sent once."""

    def __init__(self, paths: StatePaths, blobs: BlobStore) -> None:
        self._directory = paths.contexts
        self._blobs = blobs
        self._manifests: _Recent[str, ContextManifest] = _Recent()
        self._parts: _Recent[tuple[str, tuple[str, ...]], tuple[str, ContextManifest]] = _Recent()

    def add(self, digest: str, manifest: bytes) -> list[str]:
        """Keep a manifest and say which files (digests) are still missing.

        ActionError: `digest-mismatch` when the bytes are not what the digest says, `unsafe-path` for an entry that
        would lie outside, `bad-request` for what is no manifest.
        """
        if digests.sha256(manifest) != digest:
            raise ActionError("digest-mismatch", f"the context manifest is not {digest}")
        parsed = wire.decode(manifest, ContextManifest)
        for entry in parsed.entries:
            _check(entry)
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        durable.write_file(self._path(digest), manifest)
        self._manifests.put(digest, parsed, len(parsed.entries))
        return self.missing(digest)

    def missing(self, digest: str) -> list[str]:
        """Digests of the context's files that are not here, each once."""
        return self.lacking(self.get(digest))

    def has(self, digest: str) -> bool:
        return self._manifests.get(digest) is not None or os.path.exists(self._path(digest))

    def get(self, digest: str) -> ContextManifest:
        """The manifest of a digest. NotFoundError."""
        known = self._manifests.get(digest)
        if known is not None:
            return known
        try:
            with open(self._path(digest), "rb") as file:
                manifest = wire.decode(file.read(), ContextManifest)
        except FileNotFoundError as e:
            raise NotFoundError("build context", digest) from e
        return self._manifests.put(digest, manifest, len(manifest.entries))

    def part(self, digest: str, sources: Sequence[str]) -> tuple[str, ContextManifest]:
        """What `sources` (paths or patterns) choose of a context, and a digest of that alone.

        NotFoundError; StackError (`context-unreadable`) for a source that is not there.
        """
        key = (digest, tuple(sources))
        known = self._parts.get(key)
        if known is not None:
            return known
        manifest = ContextManifest(entries=tuple(_chosen(self.get(digest), sources)))
        part = (digests.sha256(wire.canonical(manifest)), manifest)
        return self._parts.put(key, part, len(manifest.entries))

    def lacking(self, manifest: ContextManifest) -> list[str]:
        """Digests of files of a manifest that are not here."""
        wanted = dict.fromkeys(entry.digest for entry in manifest.entries if entry.type == "file")
        return [item for item in wanted if not self._blobs.has(item)]

    def blobs(self) -> set[str]:
        """Digests of all files of all contexts: what a sweep of blobs must keep."""
        return {entry.digest for digest in self._list() for entry in self.get(digest).entries if entry.type == "file"}

    def recover(self) -> None:
        """At start: forget contexts that nobody sent for a week."""
        oldest = time.time() - _KEPT_SECONDS
        for digest in list(self._list()):
            if os.stat(self._path(digest)).st_mtime < oldest:
                os.unlink(self._path(digest))

    def _list(self) -> Iterator[str]:
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return
        yield from (f"sha256:{name.removesuffix('.json')}" for name in names if name.endswith(".json"))

    def _path(self, digest: str) -> str:
        if not digests.is_digest(digest):
            raise ActionError("bad-request", f"malformed digest {digest!r}")
        return f"{self._directory}/{digest.partition(':')[2]}.json"


def _check(entry: ContextEntry) -> None:
    parts = entry.path.split("/")
    if (entry.path != "." and any(part in ("", ".", "..") for part in parts)) or "\0" in entry.path + entry.target:
        raise ActionError("unsafe-path", f"the context names {entry.path!r}")
    if entry.type not in _TYPES or (entry.type == "file" and not digests.is_digest(entry.digest)):
        raise ActionError("bad-request", f"the context's entry {entry.path!r} is malformed")


def linked(entries: Mapping[str, ContextEntry], path: str) -> str:
    """Where the links that a source is lead within the context; the source itself where they lead out of it."""
    found = path
    for _ in range(_MAXIMUM_LINKS):
        if found not in entries or entries[found].type != "symlink":
            return found if found in entries else path
        found = normal(posixpath.join(posixpath.dirname(found), entries[found].target))
    return path


def _chosen(manifest: ContextManifest, sources: Sequence[str]) -> Iterator[ContextEntry]:
    """Entries that sources name, and everything below them, in the manifest's order."""
    entries = {entry.path: entry for entry in manifest.entries}
    paths = list(entries)
    tops: set[str] = set()
    for source in sources:
        pattern = normal(source)
        found = [path for path in paths if matches(pattern, path)] if has_wildcard(pattern) else [pattern]
        if not found or (found == [pattern] and pattern not in paths):
            raise StackError("context-unreadable", f"the build context has no {source}",
                             hint="is it left out by .dockerignore?")  # fmt: skip
        tops.update(found)
        tops.update(linked(entries, path) for path in found)
    if "." in tops:
        yield from manifest.entries
        return
    for entry in manifest.entries:
        parts = entry.path.split("/")
        if any("/".join(parts[:depth]) in tops for depth in range(1, len(parts) + 1)):
            yield entry
