"""Build contexts on the caller's side: what the copy steps of a stack name is read here, with the caller's rights, and
travels by content.

Paths are relative to the stack's directory and stay inside it. `.stackignore`, else `.dockerignore`, of that directory
says what is left out.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedIOBase
from typing import BinaryIO

from stackfile import digest as digests
from stackfile import wire
from stackfile.api.stacks import Upload
from stackfile.api.statcache import StatCache
from stackfile.errors import ActionError, Place, StackError
from stackfile.model.ignore import Ignore
from stackfile.model.image import ContextEntry, ContextManifest
from stackfile.model.patterns import has_wildcard, matches, normal
from stackfile.model.stack import Stack, Step

_IGNORE_FILES = (".stackignore", ".dockerignore")
_KINDS = ("copy", "add")


def fill(stack: Stack) -> tuple[Stack, list[Upload]]:
    """Read what copy and add steps name. Returns the stack with `Step.context` filled, and the contexts, each once.

    StackError with the step's place: `include-outside` for a source outside the stack's directory,
    `context-unreadable` for one that is missing or may not be read, `unsupported-key` for a URL.
    """
    reader = Reader(stack.directory)
    uploads: dict[str, Upload] = {}
    images = dict(stack.images)
    for name, image in stack.images.items():
        steps = list(image.steps)
        for index, step in enumerate(steps):
            if step.kind in _KINDS and not step.from_image:
                upload = reader.read(step, _places(stack, name, index, step))
                uploads[upload.digest] = upload
                steps[index] = replace(step, context=upload.digest)
        images[name] = replace(image, steps=tuple(steps))
    reader.cache.save()
    return replace(stack, images=images), list(uploads.values())


def _places(stack: Stack, image: str, index: int, step: Step) -> tuple[Place | None, ...]:
    """Where each source was written, as exactly as the stack knows."""
    base = f"image.{image}/steps/{index}"
    result = []
    for number in range(len(step.source)):
        keys = (f"{base}/{step.kind}/source/{number}", f"{base}/{step.kind}/source", f"{base}/{step.kind}", base,
                f"image.{image}/steps", f"image.{image}")  # fmt: skip
        origin = next((stack.origins[key] for key in keys if key in stack.origins), None)
        result.append(origin.at if origin else None)
    return tuple(result)


@dataclass(slots=True)
class Reader:
    """Reads files below one directory. `ignore_files`: the first of them that is there says what is left out."""

    directory: str
    ignore_files: tuple[str, ...] = _IGNORE_FILES
    root: str = ""
    ignore: Ignore = field(default_factory=Ignore)
    cache: StatCache = field(init=False)

    def __post_init__(self) -> None:
        self.root = os.path.realpath(self.directory or ".")
        self.cache = StatCache.of(self.root)
        for name in self.ignore_files:
            try:
                with open(f"{self.root}/{name}", encoding="utf-8") as file:
                    self.ignore = Ignore(file.read())
            except (FileNotFoundError, NotADirectoryError):
                continue
            break

    def read(self, step: Step, places: tuple[Place | None, ...]) -> Upload:
        """The context of one step."""
        return self.sources(list(zip(step.source, places, strict=True)))

    def sources(self, sources: Sequence[tuple[str, Place | None]]) -> Upload:
        """The context that holds what sources (paths or patterns, and where they were written) name."""
        entries: dict[str, ContextEntry] = {}
        files: dict[str, str] = {}
        for source, place in sources:
            _Walk(self, source, place, entries, files).run()
        manifest = ContextManifest(entries=tuple(entries[path] for path in sorted(entries)))
        text = wire.canonical(manifest).decode()
        return Upload(digests.sha256(text.encode()), text, lambda digest: _Verified(files[digest], digest))


@dataclass(slots=True)
class _Walk:
    """Reads one source into `entries` (by path in the context) and `files` (digest → path on this machine)."""

    reader: Reader
    source: str
    place: Place | None
    entries: dict[str, ContextEntry]
    files: dict[str, str]

    def run(self) -> None:
        if "://" in self.source or self.source.startswith("git@"):
            raise StackError("unsupported-key", f"source {self.source!r}: only files of the stack's directory can be "
                             "copied", at=self.place)  # fmt: skip
        pattern = normal(self.source)
        if pattern == ".." or pattern.startswith("../"):
            raise self._outside(self.source)
        found = self._expand(pattern) if has_wildcard(pattern) else [pattern]
        if not found:
            raise self._unreadable(self.source, "nothing matches")
        for path in found:
            self._top(path)

    def _expand(self, pattern: str) -> list[str]:
        """Paths that match a pattern, name by name."""
        paths = [""]
        for depth, part in enumerate(pattern.split("/"), 1):
            prefix = "/".join(pattern.split("/")[:depth])
            names = [
                f"{path}{name}"
                for path in paths
                for name in (self._names(path) if has_wildcard(part) else [part])
                if matches(prefix, f"{path}{name}") and os.path.lexists(f"{self.reader.root}/{path}{name}")
            ]
            paths = [f"{name}/" for name in names]
        return sorted(path.rstrip("/") for path in paths if not self.reader.ignore.ignored(path.rstrip("/")))

    def _names(self, path: str) -> list[str]:
        try:
            return os.listdir(f"{self.reader.root}/{path}")
        except NotADirectoryError:
            return []
        except OSError as e:
            raise self._unreadable(path, e.strerror or "") from e

    def _top(self, path: str) -> None:
        """A source itself: a link is followed, as long as it stays inside."""
        real = os.path.realpath(f"{self.reader.root}/{path}")
        if real != self.reader.root and not real.startswith(self.reader.root.rstrip("/") + "/"):
            raise self._outside(self.source)
        try:
            self._entry(path, real, os.stat(real))
        except OSError as e:
            raise self._unreadable(path, e.strerror or "") from e

    def _entry(self, path: str, real: str, status: os.stat_result) -> None:
        mode = stat.S_IMODE(status.st_mode)
        try:
            path.encode()
        except UnicodeEncodeError as e:
            raise self._unreadable(ascii(path), "its name is not UTF-8") from e
        if stat.S_ISDIR(status.st_mode):
            self.entries[path] = ContextEntry(path=path, type="dir", mode=mode)
            self._directory("" if path == "." else f"{path}/", real)
        elif stat.S_ISREG(status.st_mode):
            digest = self.reader.cache.digest(real, status, _hash)
            self.entries[path] = ContextEntry(path=path, type="file", mode=mode, size=status.st_size, digest=digest)
            self.files[digest] = real
        elif stat.S_ISLNK(status.st_mode):
            self.entries[path] = ContextEntry(path=path, type="symlink", mode=0o777, target=os.readlink(real))
        elif not stat.S_ISSOCK(status.st_mode):
            raise self._unreadable(path, "it is neither a file, a directory nor a link")

    def _directory(self, prefix: str, real: str) -> None:
        try:
            with os.scandir(real) as scan:
                found = sorted(scan, key=lambda entry: entry.name)
        except OSError as e:
            raise self._unreadable(prefix or ".", e.strerror or "") from e
        for entry in found:
            path = f"{prefix}{entry.name}"
            directory = entry.is_dir(follow_symlinks=False)
            if self.reader.ignore.ignored(path):
                if directory and self.reader.ignore.may_return(path):
                    self._directory(f"{path}/", entry.path)
                continue
            try:
                self._entry(path, entry.path, entry.stat(follow_symlinks=False))
            except OSError as e:
                raise self._unreadable(path, e.strerror or "") from e

    def _outside(self, source: str) -> StackError:
        return StackError(
            "include-outside",
            f"source {source!r} lies outside the stack's directory",
            at=self.place,
            hint="move it below the directory of the stack file, or take it from the engine's machine with `host:`",
        )

    def _unreadable(self, path: str, cause: str) -> StackError:
        return StackError("context-unreadable", f"source {path!r} cannot be read", at=self.place, cause=cause)


def _hash(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


class _Verified(BufferedIOBase):
    """A file on its way to the engine: at its end it must have been what its digest says."""

    def __init__(self, path: str, digest: str) -> None:
        self._path = path
        self._digest = digest
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115
        self._hash = hashlib.sha256()

    def read(self, size: int | None = -1, /) -> bytes:
        """As a file's. ActionError (`digest-mismatch`) at the end of a file that changed since it was hashed."""
        data = self._file.read(-1 if size is None else size)
        self._hash.update(data)
        if (not data or size is None or size < 0) and f"sha256:{self._hash.hexdigest()}" != self._digest:
            raise ActionError("digest-mismatch", f"{self._path} changed while it was read", hint="try again")
        return data

    def close(self) -> None:
        self._file.close()
        super().close()

    def chunks(self, size: int = 1 << 20) -> Iterator[bytes]:
        """The content in pieces."""
        while data := self.read(size):
            yield data
