"""Images: their rows, tags, blobs and layers, and what is half written."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from stackfile import wire
from stackfile.build.contexts import ContextStore
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.fsck import contents
from stackfile.engines.embedded.fsck.problem import Problem, Repair, at_once
from stackfile.engines.embedded.pool import WorkerPool
from stackfile.engines.embedded.registry import Registry
from stackfile.engines.embedded.trash import Trash
from stackfile.errors import StackfileError
from stackfile.images import documents, importing
from stackfile.model.image import ImageRecord

T = TypeVar("T")
_SETTLED = 600.0
"""Seconds after which what nobody refers to, and nobody has touched, belongs to no work that is under way."""


class ImageFaults:
    """What disagrees in the image store. Contents are compared in worker processes, once in the life of this object."""

    def __init__(
        self, core: Core, registry: Registry, contexts: ContextStore, pool: WorkerPool, trash: Trash, *, quick: bool
    ) -> None:
        self._core = core
        self._store = core.images
        self._registry = registry
        self._contexts = contexts
        self._pool = pool
        self._trash = trash
        self._quick = quick
        self._compared: dict[tuple[str, str], str] = {}

    async def look(self) -> list[Problem]:
        records, found = self._records()
        kept = await asyncio.to_thread(self._contexts.blobs)
        found += await asyncio.to_thread(self._left_over, time.time())
        found += self._unreferenced(kept)
        found += self._tags()
        for record in records:
            found += self._missing(record)
        found += self._containers(records)
        if not self._quick:
            found += await self._damaged(records, kept)
        return list({problem.key: problem for problem in found}.values())

    # ---- rows

    def _records(self) -> tuple[list[ImageRecord], list[Problem]]:
        records, found = [], []
        for identity, row in self._store.rows.list_images():
            try:
                records.append(wire.decode(row, ImageRecord))
            except StackfileError as error:
                found.append(
                    Problem(
                        "record-damaged",
                        f"image {identity}",
                        f"its row cannot be read: {error}",
                        "the image is forgotten; the next build or pull makes it anew",
                        at_once(self._store.rows.delete_image, identity),
                    )
                )
        return records, found

    def _tags(self) -> Iterator[Problem]:
        for name, identity in self._store.rows.list_tags():
            if self._store.rows.get_image(identity) is None:
                yield Problem(
                    "tag-dangling",
                    f"tag {name}",
                    f"names {identity}, which is not here",
                    "the tag is removed",
                    at_once(self._store.rows.delete_tag, name),
                )

    def _containers(self, records: list[ImageRecord]) -> Iterator[Problem]:
        known = {record.id for record in records}
        for container in self._registry.all():
            if container.spec.image not in known:
                yield Problem(
                    "image-missing",
                    f"container {container.name}",
                    f"its image {container.spec.image} is not here",
                    "build or pull its image again, or remove the container",
                )

    # ---- files

    def _unreferenced(self, kept: set[str]) -> Iterator[Problem]:
        chains, blobs = self._store.referenced()
        for chain_id in self._store.layers.list():
            if chain_id not in chains and self._settled(self._store.layers.path(chain_id)):
                yield Problem(
                    "layer-unreferenced",
                    f"layer {chain_id}",
                    "no image has it",
                    "it is removed",
                    self._remove_layer(chain_id),
                )
        for digest in self._store.blobs.list():
            if digest not in blobs and digest not in kept and self._settled(self._store.blobs.path(digest)):
                yield Problem(
                    "blob-unreferenced",
                    f"blob {digest}",
                    "no image and no build context has it",
                    "it is removed",
                    self._remove_blob(digest),
                )

    def _settled(self, path: str) -> bool:
        """While workers are busy, what they have just published may be referred to in a moment."""
        try:
            return not self._pool.busy or time.time() - os.lstat(path).st_ctime > _SETTLED
        except OSError:
            return False

    def _remove_layer(self, chain_id: str) -> Repair:
        async def repair() -> None:
            if chain_id not in self._store.referenced()[0]:
                self._store.layers.remove(chain_id)
                await asyncio.to_thread(self._store.sweep)

        return repair

    def _remove_blob(self, digest: str) -> Repair:
        async def repair() -> None:
            if digest not in self._store.referenced()[1]:
                self._store.blobs.remove(digest)

        return repair

    def _left_over(self, now: float) -> list[Problem]:
        """Half-written things of workers that were killed: only where nothing at all is being written."""
        if self._pool.busy or self._trash.pending or self._store.leased:
            return []
        return [
            Problem(
                "temporary-left",
                f"file {path}",
                "half written, by nobody any more",
                "it is removed",
                at_once(self._trash.discard, path),
            )
            for path in left_over(self._core.paths.temporary, now)
        ]

    def _missing(self, record: ImageRecord) -> Iterator[Problem]:
        chain = documents.chain_ids(record.layers)
        for number, (diff_id, chain_id) in enumerate(zip(record.layers, chain, strict=True)):
            if not self._store.layers.has(chain_id):
                yield Problem(
                    "layer-missing",
                    f"layer {chain_id}",
                    f"image {self._named(record)} has it",
                    "it is unpacked again",
                    self._unpack(record, number),
                )
            if not self._store.blobs.has(diff_id):
                yield Problem(
                    "blob-missing",
                    f"blob {diff_id}",
                    f"a layer of image {self._named(record)}",
                    f"it is made from the unpacked layer, else {self._without(record)}",
                    self._restore(record, diff_id, chain_id),
                )
        for digest, what in ((record.id, "config"), (record.manifest, "manifest")):
            if not self._store.blobs.has(digest):
                yield Problem(
                    "blob-missing",
                    f"blob {digest}",
                    f"the {what} of image {self._named(record)}",
                    f"it is written again, else {self._without(record)}",
                    self._rewrite(record, digest),
                )

    # ---- contents

    async def _damaged(self, records: list[ImageRecord], kept: set[str]) -> list[Problem]:
        """Blobs of images and contexts that are not what their names say, and layers that are not their blobs."""
        found = []
        needed = {digest for record in records for digest in (record.id, record.manifest, *record.layers)} | kept
        for digest in sorted(needed):
            if wrong := await self._compare("blob", digest, contents.check_blob, digest):
                mend = "it is removed, then written again where that can be"
                found.append(Problem("blob-damaged", f"blob {digest}", wrong, mend, self._drop_damaged(digest)))
        bad = {problem.subject for problem in found}
        for record in records:
            chain = documents.chain_ids(record.layers)
            for number, (diff_id, chain_id) in enumerate(zip(record.layers, chain, strict=True)):
                if (
                    f"blob {diff_id}" in bad
                    or not self._store.layers.has(chain_id)
                    or not self._store.blobs.has(diff_id)
                ):
                    continue
                if wrong := await self._compare("layer", chain_id, contents.check_layer, diff_id, chain_id):
                    repair: Repair | None = self._unpack(record, number, anew=True)
                    mend = "it is unpacked again"
                    if users := self._mounted(chain_id):
                        repair, mend = None, f"it is unpacked again once these do not run: {', '.join(users)}"
                    found.append(Problem("layer-damaged", f"layer {chain_id}", wrong, mend, repair))
        return found

    async def _compare(self, kind: str, digest: str, check: Callable[..., str], *arguments: str) -> str:
        key = (kind, digest)
        if key not in self._compared:
            self._compared[key] = await self._pooled(check, self._core.paths.root, *arguments)
        return self._compared[key]

    def _drop_damaged(self, digest: str) -> Repair:
        async def repair() -> None:
            self._store.blobs.remove(digest)
            self._compared.pop(("blob", digest), None)

        return repair

    def _unpack(self, record: ImageRecord, number: int, *, anew: bool = False) -> Repair:
        async def repair() -> None:
            chain_id = documents.chain_ids(record.layers)[number]
            diff_id, below = record.layers[number], record.layers[:number]
            if not self._store.blobs.has(diff_id):
                self._give_up(record)
                return
            await self._pooled(importing.unpack_layer, self._core.paths.root, diff_id, below, anew)
            self._compared.pop(("layer", chain_id), None)
            await asyncio.to_thread(self._store.sweep)

        return repair

    def _restore(self, record: ImageRecord, diff_id: str, chain_id: str) -> Repair:
        async def repair() -> None:
            whole = self._store.layers.has(chain_id)
            if whole and await self._pooled(contents.restore_blob, self._core.paths.root, diff_id, chain_id):
                self._compared.pop(("blob", diff_id), None)
                return
            self._give_up(record)

        return repair

    def _rewrite(self, record: ImageRecord, digest: str) -> Repair:
        async def repair() -> None:
            document = documents.encode_config(record.config, record.layers, record.history)
            if self._store.blobs.has(record.id):
                document = self._store.blobs.read(record.id)
            sizes = [(item, self._store.blobs.size(item)) for item in record.layers if self._store.blobs.has(item)]
            data = document if digest == record.id else documents.encode_manifest(document, sizes)
            try:
                self._store.blobs.put([data], digest)
            except StackfileError as error:
                if error.reason != "digest-mismatch":
                    raise
                self._give_up(record)

        return repair

    def _give_up(self, record: ImageRecord) -> None:
        """Forget an image that cannot be mended, unless a container needs what is left of it."""
        if self._users(record) or self._store.rows.get_image(record.id) is None:
            return
        self._store.forget(record.id)

    def _without(self, record: ImageRecord) -> str:
        if users := self._users(record):
            return f"pull or build the image again (it stays, as {', '.join(users)} has it)"
        return "the image is forgotten, and the next build or pull makes it anew"

    def _named(self, record: ImageRecord) -> str:
        """Its first tag, else its short id."""
        return next((name for name, image in self._store.rows.list_tags() if image == record.id), record.id[7:19])

    def _users(self, record: ImageRecord) -> list[str]:
        return sorted(container.name for container in self._registry.all() if container.spec.image == record.id)

    def _mounted(self, chain_id: str) -> list[str]:
        """Running containers that have the layer below them: taking it away would take their files away."""
        found = []
        for container in self._registry.all():
            row = (
                self._store.rows.get_image(container.spec.image) if container.alive or container.lock.locked() else None
            )
            if row is not None and chain_id in documents.chain_ids(wire.decode(row, ImageRecord).layers):
                found.append(container.name)
        return sorted(found)

    async def _pooled(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


def left_over(directory: str, now: float) -> list[str]:
    """What nobody has touched for ten minutes in a directory of things that are being written."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                if now - entry.stat(follow_symlinks=False).st_ctime > _SETTLED:
                    found.append(entry.path)
            except FileNotFoundError:
                continue  # it was finished just now
    return sorted(found)
