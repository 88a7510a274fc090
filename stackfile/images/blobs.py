"""The content store: `blobs/<algorithm>/<hex>` (OCI image-layout.md#blobs).

A blob is either absent or whole: it is written under a temporary name, verified while it is written, synced, and
renamed into place.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import BinaryIO

from stackfile import digest as digests
from stackfile.errors import ActionError, NotFoundError
from stackfile.images import durable

MAXIMUM = 64 << 30
"""Bytes that a single blob may have."""


class BlobStore:
    """Content by digest below `root`; half-written blobs live in `temporary` (same file system)."""

    def __init__(self, root: str, temporary: str) -> None:
        self.root = root
        self.temporary = temporary

    def path(self, digest: str) -> str:
        """Where a blob lies or would lie. ActionError (`bad-request`) for what is not a digest."""
        if not digests.is_digest(digest):
            raise ActionError("bad-request", f"malformed digest {digest!r}")
        algorithm, _, text = digest.partition(":")
        return f"{self.root}/{algorithm}/{text}"

    def has(self, digest: str) -> bool:
        return os.path.lexists(self.path(digest))

    def size(self, digest: str) -> int:
        """Bytes of a blob. NotFoundError when it is absent."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError as e:
            raise NotFoundError("blob", digest) from e

    def open(self, digest: str) -> BinaryIO:
        """Open for reading. NotFoundError when it is absent."""
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError as e:
            raise NotFoundError("blob", digest) from e

    def read(self, digest: str, limit: int = 4 << 20) -> bytes:
        """The whole content of a small blob. ActionError (`bad-archive`) above `limit` bytes."""
        with self.open(digest) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ActionError("bad-archive", f"blob {digest} is larger than {limit} bytes")
        return data

    def put(self, chunks: Iterable[bytes], digest: str = "", limit: int = MAXIMUM) -> str:
        """Store content and return its digest. ActionError `digest-mismatch` when it is not `digest`, `bad-archive`
        above `limit` bytes, `disk-full`.
        """
        with _Writing(self, digest, limit) as writing:
            for chunk in chunks:
                writing.write(chunk)
            return writing.finish()

    async def put_stream(self, chunks: AsyncIterator[bytes], digest: str, limit: int = MAXIMUM) -> str:
        """As `put`, from an asynchronous source."""
        with _Writing(self, digest, limit) as writing:
            async for chunk in chunks:
                writing.write(chunk)
            # The sync at the end may take long: not in the loop of whoever receives.
            return await asyncio.to_thread(writing.finish)

    def adopt(self, path: str, digest: str) -> None:
        """Move a file that was hashed while it was written (and lies on this file system) into the store."""
        target = self.path(digest)
        if os.path.lexists(target):
            os.unlink(path)
            return
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        durable.publish_file(path, target)

    def remove(self, digest: str) -> None:
        """Delete a blob; absent ones are no error."""
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            pass

    def list(self) -> Iterator[str]:
        """Digests of all blobs."""
        for algorithm in ("sha256", "sha512"):
            try:
                names = os.listdir(f"{self.root}/{algorithm}")
            except FileNotFoundError:
                continue
            yield from (f"{algorithm}:{name}" for name in names if digests.is_digest(f"{algorithm}:{name}"))


class _Writing:
    """A blob under way: a temporary file and the hash of what was written to it."""

    def __init__(self, store: BlobStore, digest: str, limit: int) -> None:
        if digest:
            store.path(digest)
        self._store = store
        self._digest = digest
        self._limit = limit
        self._size = 0
        self._hash = hashlib.new(digest.partition(":")[0] or "sha256")

    def __enter__(self) -> _Writing:
        os.makedirs(self._store.temporary, mode=0o700, exist_ok=True)
        self._fd, self._path = durable.temporary_file(self._store.temporary, "blob-")
        return self

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise ActionError("bad-archive", f"content is larger than {self._limit} bytes")
        self._hash.update(chunk)
        with durable.full_disk(self._path):
            durable.write_all(self._fd, chunk)

    def finish(self) -> str:
        """Verify and publish."""
        found = f"{self._hash.name}:{self._hash.hexdigest()}"
        if self._digest and found != self._digest:
            raise ActionError("digest-mismatch", f"content is {found}, not {self._digest}")
        self._store.adopt(self._path, found)
        self._path = ""
        return found

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        if self._path:
            os.unlink(self._path)
