"""Layers that come from elsewhere: expanded, verified, unpacked. Everything here runs in worker processes.

A blob or a layer is published whole or not at all; both steps find what is there already.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence

from stackfile import digest as digests
from stackfile.errors import ActionError
from stackfile.images import bundle, compression, documents, durable, extract
from stackfile.images.blobs import MAXIMUM, BlobStore
from stackfile.images.bundle import Candidate, Slice
from stackfile.images.layers import LayerStore
from stackfile.images.manifests import parse_platform
from stackfile.paths import StatePaths


def expand_layer(root: str, source: Slice, diff_id: str) -> int:
    """Store the uncompressed tar of a layer under its diff id; its bytes.

    ActionError: `digest-mismatch`, `bad-archive`, `disk-full`.
    """
    paths = StatePaths(root)
    blobs = BlobStore(paths.blobs, paths.temporary)
    if not blobs.has(diff_id):
        fd, path = durable.temporary_file(paths.temporary, "tar-")
        try:
            _expand(source, fd, path, diff_id)
            blobs.adopt(path, diff_id)
            path = ""
        finally:
            os.close(fd)
            if path:
                os.unlink(path)
    return blobs.size(diff_id)


def _expand(source: Slice, fd: int, path: str, diff_id: str) -> None:
    algorithm, _, expected = diff_id.partition(":")
    hashed = hashlib.new(algorithm)

    def write(data: bytes) -> None:
        hashed.update(data)
        with durable.full_disk(path):
            durable.write_all(fd, data)

    with compression.Part(source.path, source.start, source.size) as part:
        compression.expand(part, write, MAXIMUM)
    if hashed.hexdigest() != expected:
        raise ActionError("digest-mismatch", f"a layer is {algorithm}:{hashed.hexdigest()}, not {diff_id}")


def unpack_layer(root: str, diff_id: str, below: Sequence[str], anew: bool = False) -> str:
    """Unpack a stored tar on top of the layers `below` (diff ids, lowest first); its chain id. `anew` puts it in the
    place of one that is there, which nobody may have mounted.

    ActionError: `bad-archive`, `unsafe-path`, `disk-full`.
    """
    paths = StatePaths(root)
    layers = LayerStore(paths)
    chain = documents.chain_ids([*below, diff_id])
    if anew or not layers.has(chain[-1]):
        directory = layers.stage()
        try:
            lower = [layers.path(item) for item in reversed(chain[:-1])]
            extract.extract(BlobStore(paths.blobs, paths.temporary).path(diff_id), directory, lower)
            durable.sync_filesystem(directory)
            if anew:
                layers.remove(chain[-1])
            layers.publish(directory, chain[-1])
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    return chain[-1]


def open_bundle(root: str, path: str, platform: str) -> tuple[str, list[Candidate]]:
    """The images of a bundle; where it is compressed as a whole, of an expanded copy, whose path comes first ("" where
    there is none; the caller removes it). Errors as `bundle.read`.
    """
    wanted = parse_platform(platform) if platform else None
    copy = "" if os.path.isdir(path) else _expanded(StatePaths(root).temporary, path)
    try:
        return copy, bundle.read(copy or path, wanted)
    except BaseException:
        if copy:
            os.unlink(copy)
        raise


def open_files(paths: Mapping[str, str]) -> list[Candidate]:
    """The images of a layout whose files lie at these paths, by name. Errors as `bundle.read`."""
    return bundle.read_files(bundle.Named(paths))


def _expanded(temporary: str, path: str) -> str:
    with open(path, "rb") as file:
        if compression.detect(file.read(6)) == compression.NONE:
            return ""
    fd, copy = durable.temporary_file(temporary, "load-")
    try:
        with compression.Part(path) as part, durable.full_disk(copy):
            compression.expand(part, lambda data: durable.write_all(fd, data), MAXIMUM)
    except BaseException:
        os.unlink(copy)
        raise
    finally:
        os.close(fd)
    return copy


def compress_layer(root: str, diff_id: str, kind: str) -> tuple[str, str, int]:
    """A compressed copy of a stored tar, in the temporary directory: its path, digest and bytes. The caller removes
    it. ActionError (`disk-full`).
    """
    paths = StatePaths(root)
    fd, path = durable.temporary_file(paths.temporary, "export-")
    try:
        with open(fd, "r+b") as target, durable.full_disk(path):
            with (
                open(BlobStore(paths.blobs, paths.temporary).path(diff_id), "rb") as source,
                compression.compressor(kind, target) as out,
            ):
                shutil.copyfileobj(source, out, 1 << 20)
            target.seek(0)
            hashed = hashlib.file_digest(target, "sha256")
            return path, f"sha256:{hashed.hexdigest()}", target.tell()
    except BaseException:
        os.unlink(path)
        raise


def config_ids(document: bytes) -> tuple[str, ...]:
    """Diff ids of a config document. ActionError (`bad-archive`)."""
    return documents.decode_config(document)[1]


def identity(document: bytes) -> str:
    """The id of the image with this config."""
    return digests.sha256(document)
