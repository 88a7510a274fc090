"""Images that come from elsewhere, a registry or an archive: their layers are fetched, verified and unpacked, and only
then is there an image. Each layer is fetched and unpacked once, however many want it at the same time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from stackfile.engines.embedded.shared import Shared
from stackfile.errors import ActionError
from stackfile.images import documents, importing
from stackfile.images.bundle import Slice
from stackfile.images.store import ImageStore
from stackfile.model.image import ImageRecord, Transfer
from stackfile.provider.engine import Transferred

T = TypeVar("T")

Fetch = Callable[[int], Awaitable[tuple[Slice, bool]]]
"""Brings the content of a layer by its place in the image; whether its file is to be removed afterwards."""


class Imports:
    """Adds images to a store. Rows are touched in the loop's thread, files in `pool`'s processes."""

    def __init__(self, store: ImageStore, pool: Executor) -> None:
        self._store = store
        self._pool = pool
        self._tars: Shared[int] = Shared()
        self._unpacked: Shared[str] = Shared()

    async def add(
        self,
        document: bytes,
        fetch: Fetch,
        *,
        names: Sequence[str],
        tags: Sequence[str] = (),
        digests_of: Sequence[str] = (),
        told: Transferred,
    ) -> ImageRecord:
        """The image of a config document; `names` are what its layers are called to `told`, lowest first.

        ActionError: `bad-archive`, `digest-mismatch`, `unsafe-path`, `disk-full`, and what `fetch` raises.
        """
        diff_ids = documents.decode_config(document)[1]
        if len(diff_ids) != len(names):
            raise ActionError("bad-archive", f"the image has {len(names)} layers, its config {len(diff_ids)}")
        held = [*diff_ids, *documents.chain_ids(diff_ids)]
        for digest in held:
            self._store.lease(digest)
        try:
            sizes = await self._layers(diff_ids, fetch, names, told)
            return self._store.add_document(document, sizes, tags=tags, digests_of=digests_of)
        finally:
            self._store.release(held)

    async def _layers(
        self, diff_ids: Sequence[str], fetch: Fetch, names: Sequence[str], told: Transferred
    ) -> list[int]:
        chain = documents.chain_ids(diff_ids)
        tars = [
            asyncio.ensure_future(self._tar(index, diff_ids[index], chain[index], fetch, names[index], told))
            for index in range(len(diff_ids))
        ]
        sizes = []
        try:
            for index, tar in enumerate(tars):
                sizes.append(await tar)
                await self._unpack(index, diff_ids, chain[index], names[index], told)
        finally:
            for tar in tars:
                tar.cancel()
            await asyncio.gather(*tars, return_exceptions=True)
        return sizes

    async def _tar(self, index: int, diff_id: str, chain_id: str, fetch: Fetch, name: str, told: Transferred) -> int:
        if self._store.blobs.has(diff_id):
            if self._store.layers.has(chain_id):
                told(Transfer(status="Already exists", id=name))
            return self._store.blobs.size(diff_id)
        told(Transfer(status="Pulling fs layer", id=name))
        while True:
            try:
                return await self._tars.run(diff_id, lambda: self._fetched(index, diff_id, fetch))
            except ActionError as error:
                # Another one fetched it, and was stopped; where we are, this task is cancelled as well.
                if error.reason != "cancelled":
                    raise

    async def _fetched(self, index: int, diff_id: str, fetch: Fetch) -> int:
        source, temporary = await fetch(index)
        try:
            return await self.pooled(importing.expand_layer, self._store.paths.root, source, diff_id)
        finally:
            if temporary:
                os.unlink(source.path)

    async def _unpack(self, index: int, diff_ids: Sequence[str], chain_id: str, name: str, told: Transferred) -> None:
        if self._store.layers.has(chain_id):
            return
        told(Transfer(status="Extracting", id=name))
        root, below = self._store.paths.root, tuple(diff_ids[:index])
        await self._unpacked.run(chain_id, lambda: self.pooled(importing.unpack_layer, root, diff_ids[index], below))
        told(Transfer(status="Pull complete", id=name))

    async def pooled(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function of a module in a worker process."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
