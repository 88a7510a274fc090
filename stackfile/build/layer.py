"""Makes layers: members or an upper directory become a blob and an unpacked directory. Runs in a worker process."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from stackfile.images import archive, compression, difference, documents, durable, extract
from stackfile.images.archive import Member, Written
from stackfile.images.blobs import MAXIMUM, BlobStore
from stackfile.images.layers import LayerStore
from stackfile.paths import StatePaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a new layer is put on: the state root, directories of the layers below (topmost first), chain id."""

    root: str
    lower: tuple[str, ...]
    chain_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A published layer; without ids when nothing was to change. `below` is the chain id that it stands on."""

    diff_id: str = ""
    chain_id: str = ""
    below: str = ""
    size: int = 0
    files: int = 0
    programs: int = 0


def of_members(ground: Ground, members: Sequence[Member]) -> Made:
    """Publish a layer that holds `members`."""
    if not members:
        return Made()
    return _publish(ground, lambda path: archive.write(members, path), "")


def of_upper(ground: Ground, upper: str) -> Made:
    """Publish what a command left in the upper directory of an overlay; the directory itself becomes the layer."""
    if not os.listdir(upper):
        shutil.rmtree(upper)
        return Made()
    return _publish(ground, lambda path: difference.write(upper, path), upper)


def of_copy(ground: Ground, upper: str) -> Made:
    """Publish what is in the upper directory of a container; the directory stays what it is."""
    if not os.listdir(upper):
        return Made()
    return _publish(ground, lambda path: difference.write(upper, path), "")


def of_archive(ground: Ground, source: str) -> Made:
    """Publish a tar file, perhaps compressed, as a layer. ActionError: `bad-archive`, `unsafe-path`."""
    return _publish(ground, lambda path: _expanded(source, path), "")


def _expanded(source: str, path: str) -> Written:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    hashed, size = hashlib.sha256(), 0

    def write(data: bytes) -> None:
        nonlocal size
        hashed.update(data)
        size += len(data)
        durable.write_all(fd, data)

    try:
        with compression.Part(source) as part, durable.full_disk(path):
            compression.expand(part, write, MAXIMUM)
    finally:
        os.close(fd)
    return Written(digest=f"sha256:{hashed.hexdigest()}", size=size, files=0)


def _publish(ground: Ground, write: Callable[[str], Written], directory: str) -> Made:
    paths = StatePaths(ground.root)
    layers = LayerStore(paths)
    os.makedirs(paths.temporary, mode=0o700, exist_ok=True)
    tar = durable.temporary_name(paths.temporary, "tar-")
    garbage = [directory] if directory else []
    try:
        written = write(tar)
        chain_id = documents.chain_ids([ground.chain_id, written.digest])[1] if ground.chain_id else written.digest
        if not layers.has(chain_id):
            if not directory:
                directory = layers.stage()
                garbage.append(directory)
                extract.extract(tar, directory, ground.lower)
            durable.sync_filesystem(directory)
            layers.publish(directory, chain_id)
        BlobStore(paths.blobs, paths.temporary).adopt(tar, written.digest)
    finally:
        _clean(garbage, tar)
    return Made(diff_id=written.digest, chain_id=chain_id, size=written.size, files=written.files)


def _clean(directories: Iterable[str], tar: str) -> None:
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    try:
        os.unlink(tar)
    except FileNotFoundError:
        pass
