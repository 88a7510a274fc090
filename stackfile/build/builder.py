"""Builds stack images: evaluates what the cache has, and makes what it has not."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor

from stackfile.build.contexts import ContextStore
from stackfile.images.store import ImageStore
from stackfile.model.image import BuildEvaluation, BuildResult
from stackfile.model.stack import ImageResource
from stackfile.provider.engine import Progress
from stackfile.provider.runner import StepRunner


class Builder:
    """The builder of one engine. Database rows are touched in the caller's thread; files in `pool`'s processes."""

    def __init__(self, images: ImageStore, contexts: ContextStore, runner: StepRunner, pool: Executor) -> None:
        self._images = images
        self._contexts = contexts
        self._runner = runner
        self._pool = pool

    def recover(self) -> None:
        """At start, before anything else uses the stores: clear what a killed engine left half done."""
        self._contexts.recover()
        self._images.recover(keep_blobs=self._contexts.blobs())

    async def evaluate(self, images: Mapping[str, ImageResource]) -> dict[str, BuildEvaluation]:
        """What building these images would do, each after its base. Changes nothing but remembered file stats.

        StackError (`image-cycle`, `unknown-reference`), NotFoundError (`image-not-found`), ActionError
        (`host-program-missing`).
        """
        raise NotImplementedError

    async def build(
        self,
        images: Mapping[str, ImageResource],
        name: str,
        *,
        no_cache: bool = False,
        progress: Progress | None = None,
    ) -> BuildResult:
        """Build one image whose bases are built already; moves its tags to the result.

        ActionError (`build-failed`, `host-program-missing`, `disk-full`), NotFoundError (`image-not-found`).
        """
        raise NotImplementedError
