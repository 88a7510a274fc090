"""Images in files: what `docker save`, skopeo and others write.

A bundle is a tar (docker-archive or OCI layout, or both in one) or a directory (OCI layout, or an unpacked
docker-archive). Its names are only ever compared, never opened as paths where it is a tar; in a directory nothing
outside is read.
"""

from __future__ import annotations

import json
import mmap
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from stackfile import digest as digests
from stackfile.errors import ActionError
from stackfile.images import documents, manifests, members
from stackfile.images.manifests import Descriptor, Index, Manifest, Platform

_MOST_IMAGES = 1000
_MOST_NESTED = 4
_TAG = "org.opencontainers.image.ref.name"
_NAME = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class Slice:
    """Where content lies: `size` bytes of a file from `start` on."""

    path: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image of a bundle: its config document, its layers' content (maybe compressed) lowest first, its names."""

    config: bytes
    layers: tuple[Slice, ...]
    tags: tuple[str, ...] = ()


class Files(Protocol):
    """The files of a bundle by name (relative, `/`-separated)."""

    def find(self, name: str) -> Slice | None: ...

    def read(self, found: Slice, limit: int) -> bytes: ...


def read(path: str, platform: Platform | None = None) -> list[Candidate]:
    """The images of a bundle at `path` (an uncompressed tar, or a directory) that fit `platform` (this machine's by
    default, where an index has several). ActionError (`bad-archive`, `platform-missing`).
    """
    return read_files(_Directory(path) if os.path.isdir(path) else _Tar(path), platform)


def read_files(files: Files, platform: Platform | None = None) -> list[Candidate]:
    """As `read`, of files that are found in another way."""
    wanted = platform or manifests.host_platform()
    images: list[Candidate] = []
    if found := files.find("manifest.json"):
        images = list(_docker(files, files.read(found, manifests.LARGEST)))
    elif found := files.find("index.json"):
        images = list(_layout(files, files.read(found, manifests.LARGEST), wanted))
    if images:
        return images
    raise ActionError(
        "bad-archive",
        "no images in the archive",
        cause="neither manifest.json (docker save) nor index.json (OCI layout) lists one",
    )


# ---------------------------------------------------------------- docker-archive


def _docker(files: Files, data: bytes) -> Iterator[Candidate]:
    try:
        entries = [
            (str(item["Config"]), [str(name) for name in item["Layers"] or ()], tuple(item.get("RepoTags") or ()))
            for item in json.loads(data)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise _bad("manifest.json is malformed", str(e)) from e
    if len(entries) > _MOST_IMAGES:
        raise _bad("too many images")
    for config, layers, tags in entries:
        document = files.read(_need(files, config), manifests.LARGEST)
        yield Candidate(document, tuple(_need(files, name) for name in layers), tuple(map(str, tags)))


# ---------------------------------------------------------------- OCI layout


def _layout(files: Files, data: bytes, wanted: Platform) -> Iterator[Candidate]:
    index = manifests.decode(data, documents.INDEX)
    if not isinstance(index, Index):
        raise _bad("index.json is no index")
    if len(index.manifests) > _MOST_IMAGES:
        raise _bad("too many images")
    alike = all(not _name(item) for item in index.manifests) and len(index.manifests) > 1
    # Without names the entries are the platforms of one image.
    chosen = [manifests.choose(index, wanted)] if alike else list(index.manifests)
    for descriptor in chosen:
        manifest = _manifest(files, descriptor, wanted)
        layers = tuple(_blob(files, layer) for layer in manifest.layers)
        config = _content(files, manifest.config)
        name = _name(descriptor)
        yield Candidate(config, layers, (name,) if name else ())


def _manifest(files: Files, descriptor: Descriptor, wanted: Platform) -> Manifest:
    for _ in range(_MOST_NESTED):
        found = manifests.decode(_content(files, descriptor), descriptor.media_type)
        if isinstance(found, Manifest):
            return found
        descriptor = manifests.choose(found, wanted)
    raise _bad("its indexes are nested too deeply")


def _name(descriptor: Descriptor) -> str:
    """The image's name: containerd's annotation is a whole one; the spec's may be a tag alone, which names nothing."""
    full = descriptor.annotations.get(_NAME) or descriptor.annotations.get(_TAG, "")
    return full if ":" in full or "/" in full else ""


def _blob(files: Files, descriptor: Descriptor) -> Slice:
    found = _need(files, "blobs/" + descriptor.digest.replace(":", "/"))
    if found.size != descriptor.size:
        raise ActionError("digest-mismatch", f"blob {descriptor.digest} has {found.size} bytes, not {descriptor.size}")
    return found


def _content(files: Files, descriptor: Descriptor) -> bytes:
    data = files.read(_blob(files, descriptor), manifests.LARGEST)
    if not digests.matches(descriptor.digest, data):
        raise ActionError("digest-mismatch", f"blob {descriptor.digest} is not what its name says")
    return data


# ---------------------------------------------------------------- files


class Named:
    """Files that lie anywhere: name → path."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = paths

    def find(self, name: str) -> Slice | None:
        path = self._paths.get(posixpath.normpath(name))
        return Slice(path, 0, os.stat(path).st_size) if path is not None else None

    def read(self, found: Slice, limit: int) -> bytes:
        return _read(found, limit)


class _Tar:
    """A tar that is indexed once; names of links lead to what they link to (docker save of old links equal layers)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[str, Slice] = {}
        self._links: dict[str, str] = {}
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise _bad("it is empty")
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        for member in members.read(memoryview(mapped)):
            name = posixpath.normpath(os.fsdecode(member.name))
            if member.kind == b"0":
                self._found[name] = Slice(path, member.start, member.size)
            elif member.kind == b"2":
                link = os.fsdecode(member.link)
                self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
            elif member.kind == b"1":
                self._links[name] = posixpath.normpath(os.fsdecode(member.link))

    def find(self, name: str) -> Slice | None:
        name = posixpath.normpath(name)
        return self._found.get(name) or self._found.get(self._links.get(name, ""))

    def read(self, found: Slice, limit: int) -> bytes:
        return _read(found, limit)


class _Directory:
    """A directory; names stay below it, and nothing is followed that leads out."""

    def __init__(self, path: str) -> None:
        self._root = os.path.realpath(path)

    def find(self, name: str) -> Slice | None:
        path = os.path.realpath(f"{self._root}/{name}")
        if not path.startswith(self._root + "/"):
            raise ActionError("unsafe-path", f"the layout's {name!r} leads out of its directory")
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
        return Slice(path, 0, status.st_size) if stat.S_ISREG(status.st_mode) else None

    def read(self, found: Slice, limit: int) -> bytes:
        return _read(found, limit)


def _read(found: Slice, limit: int) -> bytes:
    if found.size > limit:
        raise _bad(f"a document is larger than {limit} bytes")
    with open(found.path, "rb") as file:
        file.seek(found.start)
        return file.read(found.size)


def _need(files: Files, name: str) -> Slice:
    found = files.find(name)
    if found is None:
        raise _bad(f"{name} is missing")
    return found


def _bad(message: str, cause: str = "") -> ActionError:
    return ActionError("bad-archive", f"the archive of images cannot be used: {message}", cause=cause)
