"""Archives of images: loaded into the store, and written from it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from stackfile.engines.embedded.imports import Imports
from stackfile.errors import ActionError
from stackfile.images import compression, documents, durable, exporting, importing, references
from stackfile.images.blobs import MAXIMUM
from stackfile.images.bundle import Candidate, Slice
from stackfile.images.exporting import Content, Saved
from stackfile.images.store import ImageStore
from stackfile.model.image import ImageRecord, Transfer
from stackfile.provider.engine import Transferred

T = TypeVar("T")
_CHUNK = 1 << 20
_KINDS = ("", compression.GZIP, compression.ZSTD)


class Archives:
    """What `load` and `save` do."""

    def __init__(self, store: ImageStore, imports: Imports) -> None:
        self._store = store
        self._imports = imports

    # ---- load

    async def load(self, data: AsyncIterator[bytes], platform: str, told: Transferred) -> list[ImageRecord]:
        """The images of an archive, under their names there. ActionError: `bad-archive`, `digest-mismatch`,
        `platform-missing`, `disk-full`, `bad-request` (a malformed name).
        """
        path = await self.received(data)
        copy = ""
        try:
            root = self._store.paths.root
            copy, found = await self._imports.pooled(importing.open_bundle, root, path, platform)
            if copy:
                os.unlink(path)
                path = ""
            return [await self._add(candidate, told) for candidate in found]
        finally:
            for name in (path, copy):
                if name:
                    os.unlink(name)

    async def base(self, files: Mapping[str, str], told: Transferred) -> ImageRecord:
        """The one image of an archive or a layout whose files lie at these paths, by name; it gets no name. Errors as
        `load`.
        """
        copy = ""
        found: list[Candidate] = []
        try:
            if len(files) == 1:
                path = next(iter(files.values()))
                copy, found = await self._imports.pooled(importing.open_bundle, self._store.paths.root, path, "")
            else:
                found = await self._imports.pooled(importing.open_files, dict(files))
            if len(found) != 1:
                raise ActionError("bad-archive", f"the archive holds {len(found)} images, not one")
            return await self._add(replace(found[0], tags=()), told)
        finally:
            if copy:
                os.unlink(copy)

    async def pooled(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function of a module in a worker process."""
        return await self._imports.pooled(function, *arguments)

    async def received(self, data: AsyncIterator[bytes]) -> str:
        """A stream as a file, which is the caller's to remove. ActionError (`bad-archive`, `disk-full`)."""
        fd, path = durable.temporary_file(self._store.paths.temporary, "load-")
        size = 0
        try:
            async for chunk in data:
                size += len(chunk)
                if size > MAXIMUM:
                    raise ActionError("bad-archive", f"the archive is larger than {MAXIMUM} bytes")
                with durable.full_disk(path):
                    await asyncio.to_thread(durable.write_all, fd, chunk)
        except BaseException:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        return path

    async def _add(self, candidate: Candidate, told: Transferred) -> ImageRecord:
        async def fetch(index: int) -> tuple[Slice, bool]:
            return candidate.layers[index], False

        names = [_short(digest) for digest in documents.decode_config(candidate.config)[1]]
        if len(names) != len(candidate.layers):
            raise ActionError("bad-archive", f"the image has {len(candidate.layers)} layers, its config {len(names)}")
        record = await self._imports.add(candidate.config, fetch, names=names, tags=candidate.tags, told=told)
        for tag in candidate.tags:
            told(Transfer(status=f"Loaded image: {references.familiar(tag)}"))
        if not candidate.tags:
            told(Transfer(status=f"Loaded image ID: {record.id}"))
        return record

    # ---- save

    async def save(self, refs: Sequence[str], compress: str) -> AsyncIterator[bytes]:
        """A tar of images, in pieces. The first error comes before the first piece."""
        if compress not in _KINDS:
            raise ActionError("bad-request", f"unknown compression {compress!r}", hint="gzip or zstd")
        chosen = self._chosen(refs)
        held = [digest for record, _ in chosen for digest in (record.id, *record.layers)]
        for digest in held:
            self._store.lease(digest)
        temporary: list[str] = []
        try:
            saved = [await self._saved(record, names, compress, temporary) for record, names in chosen]
        except BaseException:
            self._done(held, temporary)
            raise
        return self._stream(saved, held, temporary)

    def _chosen(self, refs: Sequence[str]) -> list[tuple[ImageRecord, list[str]]]:
        """Each image once, with the names that it was asked for by."""
        found: dict[str, tuple[ImageRecord, list[str]]] = {}
        for ref in refs:
            record = self._store.get(ref)
            _, names = found.setdefault(record.id, (record, []))
            name = _name(record, ref)
            if name and name not in names:
                names.append(name)
        return list(found.values())

    async def _saved(self, record: ImageRecord, names: Sequence[str], compress: str, temporary: list[str]) -> Saved:
        document = self._store.blobs.read(record.id)
        if not compress:
            layers = [(item, self._store.blobs.path(item), self._store.blobs.size(item)) for item in record.layers]
            return Saved(config=document, layers=tuple(layers), tags=tuple(names))
        work: list[Awaitable[tuple[str, str, int]]] = [
            self._imports.pooled(importing.compress_layer, self._store.paths.root, item, compress)
            for item in record.layers
        ]
        made = await asyncio.gather(*work)
        temporary += [path for path, _, _ in made]
        return Saved(
            config=document,
            layers=tuple((digest, path, size) for path, digest, size in made),
            tags=tuple(names),
            layer_type=f"{documents.LAYER}+{compress}",
        )

    async def _stream(
        self, saved: Sequence[Saved], held: Sequence[str], temporary: Sequence[str]
    ) -> AsyncIterator[bytes]:
        try:
            yield exporting.directories()
            for content in exporting.contents(saved):
                async for piece in _pieces(content):
                    yield piece
            yield exporting.END
        finally:
            self._done(held, temporary)

    def _done(self, held: Sequence[str], temporary: Sequence[str]) -> None:
        self._store.release(held)
        for path in temporary:
            with suppress(FileNotFoundError):
                os.unlink(path)


async def _pieces(content: Content) -> AsyncIterator[bytes]:
    yield exporting.header(content)
    if not content.path:
        yield content.data + exporting.padding(len(content.data))
        return
    left = content.size
    with open(content.path, "rb", buffering=0) as file:
        while left:
            data = await asyncio.to_thread(file.read, min(left, _CHUNK))
            if not data:
                raise ActionError("internal", f"{content.name} is shorter than it was")
            left -= len(data)
            yield data
    yield exporting.padding(content.size)


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]


def _name(record: ImageRecord, ref: str) -> str:
    """The full name that `ref` is; "" where it is an id or a digest."""
    try:
        name = str(references.parse(ref))
    except ActionError:
        return ""
    return name if name in record.tags else ""
