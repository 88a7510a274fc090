"""Images and builds as the engine offers them."""

from __future__ import annotations

import asyncio
import os
import posixpath
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace

from stackfile.build import archives as build_archives
from stackfile.build.builder import Builder
from stackfile.build.contexts import ContextStore
from stackfile.build.order import build_order
from stackfile.engines.embedded.archives import Archives
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.pulls import Pulls
from stackfile.engines.embedded.registry import Registry
from stackfile.images import documents, references
from stackfile.images.store import ImageStore
from stackfile.model.image import BuildEvaluation, BuildResult, ImageRecord, RegistryAuth, ResolvedImage, Transfer
from stackfile.model.stack import ImageResource
from stackfile.provider.engine import BuildStep, ImageLayer, Progress, Transferred

_BASE = "base:"
"""Cache rows: digest of the context that an archive came as → id of its image."""
_CREDENTIALS: ContextVar[Mapping[str, RegistryAuth] | None] = ContextVar("credentials", default=None)
"""Of the build that this task does: they are known to nobody else, and gone with it."""


class Images:
    """The image store with what only the engine knows: who uses an image, and where events go."""

    def __init__(
        self,
        store: ImageStore,
        contexts: ContextStore,
        builder: Builder,
        registry: Registry,
        bus: Bus,
        pulls: Pulls,
        archives: Archives,
    ) -> None:
        self._store = store
        self._contexts = contexts
        self._builder = builder
        self._registry = registry
        self._bus = bus
        self._pulls = pulls
        self._archives = archives
        builder.pull = self._for_build

    def list(self) -> Sequence[ImageRecord]:
        return self._store.list()

    def get(self, ref: str) -> ImageRecord:
        """Raises NotFoundError (`image-not-found`), ActionError (`ambiguous`)."""
        return self._store.get(ref)

    def layers(self, ref: str) -> Sequence[ImageLayer]:
        """Its layers, topmost first. Raises NotFoundError."""
        record = self._store.get(ref)
        chain = documents.chain_ids(record.layers)
        return [
            ImageLayer(
                chain_id=chain_id, directory=self._store.layers.path(chain_id), size=self._store.blobs.size(digest)
            )
            for digest, chain_id in reversed(list(zip(record.layers, chain, strict=True)))
        ]

    def tag(self, ref: str, tag: str) -> None:
        """Raises NotFoundError (`image-not-found`), ActionError (`bad-request`)."""
        self._store.tag(ref, tag)
        self._bus.publish("image", "tag", self._store.get(ref).id, {"name": tag})

    async def remove(self, ref: str, force: bool) -> Sequence[tuple[str, str]]:
        """Raises NotFoundError (`image-not-found`), ConflictError (`in-use`)."""
        users: dict[str, list[str]] = {}
        for container in self._registry.all():
            users.setdefault(container.spec.image, []).append(container.name)
        identity = self._store.get(ref).id
        done = self._store.remove(ref, force=force, in_use=users)
        await asyncio.to_thread(self._store.sweep)
        for what, name in done:
            self._bus.publish("image", "untag" if what == "untagged" else "delete", identity, {"name": name})
        return done

    async def pull(self, ref: str, platform: str, auth: RegistryAuth, told: Transferred | None) -> ImageRecord:
        """Errors as Pulls.pull."""
        record = await self._pulls.pull(ref, platform, auth, told or _silent)
        self._bus.publish("image", "pull", record.id, {"name": references.familiar(ref)})
        return record

    async def resolve(self, ref: str, auth: RegistryAuth) -> ResolvedImage:
        """Errors as Pulls.resolve."""
        return await self._pulls.resolve(ref, auth)

    async def check_registry(self, domain: str, auth: RegistryAuth) -> None:
        """Errors as Pulls.check."""
        await self._pulls.check(domain, auth)

    async def load(self, data: AsyncIterator[bytes], platform: str, told: Transferred | None) -> Sequence[ImageRecord]:
        """Errors as Archives.load."""
        records = await self._archives.load(data, platform, told or _silent)
        for record in records:
            self._bus.publish("image", "load", record.id, {"name": next(iter(record.tags), record.id)})
        return records

    async def save(self, refs: Sequence[str], compress: str) -> AsyncIterator[bytes]:
        """Errors as Archives.save."""
        chunks = await self._archives.save(refs, compress)
        for ref in refs:
            self._bus.publish("image", "save", self._store.get(ref).id, {"name": ref})
        return chunks

    async def evaluate(self, images: Mapping[str, ImageResource]) -> dict[str, BuildEvaluation]:
        """Errors as Builder.evaluate."""
        return await self._builder.evaluate({name: self._on_archive(image) for name, image in images.items()})

    async def build(
        self,
        images: Mapping[str, ImageResource],
        name: str,
        *,
        no_cache: bool,
        progress: Progress | None,
        report: Callable[[BuildStep], None] | None = None,
        credentials: Mapping[str, RegistryAuth] = {},
    ) -> BuildResult:
        """Errors as Builder.build."""
        for needed in build_order(images, name):
            if images[needed].base_context and not self._loaded(images[needed].base_context):
                await self._load_base(images[needed], progress)
        images = {key: self._on_archive(image) for key, image in images.items()}
        token = _CREDENTIALS.set(credentials)
        try:
            result = await self._builder.build(images, name, no_cache=no_cache, progress=progress, report=report)
        finally:
            _CREDENTIALS.reset(token)
        self._bus.publish("image", "build", result.image, {"name": name})
        return result

    def _on_archive(self, image: ImageResource) -> ImageResource:
        """On the image of its archive, by id; where that is not loaded, on one that is not here."""
        if not image.base_context:
            return image
        return replace(image, base=self._loaded(image.base_context) or image.base_context)

    def _loaded(self, context: str) -> str:
        identity = self._store.rows.get_cache(_BASE + context) or ""
        return identity if identity and self._store.rows.get_image(identity) else ""

    async def _load_base(self, image: ImageResource, progress: Progress | None) -> None:
        if progress is not None:
            progress(f"load {image.base}")
        top = posixpath.basename(image.base_path)
        files = {
            posixpath.relpath(entry.path, top) if entry.path != top else top: self._store.blobs.path(entry.digest)
            for entry in self._contexts.get(image.base_context).entries
            if entry.type == "file"
        }
        record = await self._archives.base(files, _silent)
        self._store.rows.put_cache(_BASE + image.base_context, record.id)

    async def _for_build(self, ref: str, progress: Progress) -> None:
        progress(f"pull {ref}")
        auth = (_CREDENTIALS.get() or {}).get(references.parse(ref).domain, RegistryAuth())
        await self.pull(ref, "", auth, None)

    async def context_archive(self, data: AsyncIterator[bytes], dockerfile: str) -> tuple[str, str | None]:
        """Errors as build.archives.take."""
        archive = await self._archives.received(data)
        try:
            taken = await self._archives.pooled(build_archives.take, self._store.paths.root, archive, dockerfile)
        finally:
            os.unlink(archive)
        self._contexts.add(taken.digest, taken.manifest.encode())
        return taken.digest, taken.dockerfile

    async def context_missing(self, digest: str, manifest: bytes) -> Sequence[str]:
        """Errors as ContextStore.add."""
        return self._contexts.add(digest, manifest)

    async def blob_put(self, digest: str, data: AsyncIterator[bytes]) -> None:
        """Errors as BlobStore.put_stream."""
        await self._store.blobs.put_stream(data, digest)


def _silent(progress: Transfer) -> None:
    """Nobody listens."""
