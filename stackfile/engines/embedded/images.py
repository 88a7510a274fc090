"""Images and builds as the engine offers them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from stackfile.build.builder import Builder
from stackfile.build.contexts import ContextStore
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.registry import Registry
from stackfile.images.store import ImageStore
from stackfile.model.image import BuildEvaluation, BuildResult, ImageRecord
from stackfile.model.stack import ImageResource
from stackfile.provider.engine import Progress


class Images:
    """The image store with what only the engine knows: who uses an image, and where events go."""

    def __init__(
        self, store: ImageStore, contexts: ContextStore, builder: Builder, registry: Registry, bus: Bus
    ) -> None:
        self._store = store
        self._contexts = contexts
        self._builder = builder
        self._registry = registry
        self._bus = bus

    def list(self) -> Sequence[ImageRecord]:
        return self._store.list()

    def get(self, ref: str) -> ImageRecord:
        """Raises NotFoundError (`image-not-found`), ActionError (`ambiguous`)."""
        return self._store.get(ref)

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

    async def evaluate(self, images: Mapping[str, ImageResource]) -> dict[str, BuildEvaluation]:
        """Errors as Builder.evaluate."""
        return await self._builder.evaluate(images)

    async def build(
        self, images: Mapping[str, ImageResource], name: str, *, no_cache: bool, progress: Progress | None
    ) -> BuildResult:
        """Errors as Builder.build."""
        result = await self._builder.build(images, name, no_cache=no_cache, progress=progress)
        self._bus.publish("image", "build", result.image, {"name": name})
        return result

    async def context_missing(self, digest: str, manifest: bytes) -> Sequence[str]:
        """Errors as ContextStore.add."""
        return self._contexts.add(digest, manifest)

    async def blob_put(self, digest: str, data: AsyncIterator[bytes]) -> None:
        """Errors as BlobStore.put_stream."""
        await self._store.blobs.put_stream(data, digest)
