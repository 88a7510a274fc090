"""Builds stack images: evaluates what the cache has, and makes what it has not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from weakref import WeakValueDictionary

from stackfile.build import state as states
from stackfile.build.cache import BuildCache
from stackfile.build.contexts import ContextStore
from stackfile.build.dockerfiles import Report
from stackfile.build.order import build_order
from stackfile.build.solver import Pull, Solver
from stackfile.build.state import State
from stackfile.errors import ActionError
from stackfile.images import references
from stackfile.images.store import ImageStore
from stackfile.model.image import BuildEvaluation, BuildResult, StepStatus
from stackfile.model.stack import ImageResource
from stackfile.provider.engine import Progress
from stackfile.provider.runner import StepRunner
from stackfile.turns import Turn


class Builder:
    """The builder of one engine. Database rows are touched in the caller's thread; files in `pool`'s processes."""

    def __init__(self, images: ImageStore, contexts: ContextStore, runner: StepRunner, pool: Executor) -> None:
        self._images = images
        self._contexts = contexts
        self._runner = runner
        self._pool = pool
        self._cache = BuildCache(images.rows)
        self._locks: dict[str, Turn] = {}
        self._making: WeakValueDictionary[str, Turn] = WeakValueDictionary()
        self.pull: Pull | None = None
        """Gets an image that a build stands on and that is not here; set by who can."""

    def recover(self) -> None:
        """At start, before anything else uses the stores: clear what a killed engine left half done."""
        self._contexts.recover()
        self._cache.recover()
        self._images.recover(keep_blobs=self._contexts.blobs())

    async def evaluate(self, images: Mapping[str, ImageResource]) -> dict[str, BuildEvaluation]:
        """What building these images would do, each after its base. Changes nothing but remembered file stats.

        StackError (`image-cycle`), NotFoundError (`image-not-found`), ActionError (`host-program-missing`).
        """
        statuses: dict[str, tuple[StepStatus, ...]] = {}
        found = await self._states(images, build_order(images), statuses)
        return {name: self._evaluation(images[name], state, statuses[name]) for name, state in found.items()}

    async def build(
        self,
        images: Mapping[str, ImageResource],
        name: str,
        *,
        no_cache: bool = False,
        progress: Progress | None = None,
        report: Report | None = None,
    ) -> BuildResult:
        """Build one image whose bases are built already; moves its names to the result.

        `report` is told the instructions of a Dockerfile one by one; `progress` then gets their output alone.
        ActionError (`build-failed`, `host-program-missing`, `disk-full`), NotFoundError (`image-not-found`).
        """
        image = images[name]
        order = build_order(images, name)
        bases = await self._states(images, order[:-1], {})
        for key, state in bases.items():
            bases[key] = state or self._built(images[key])
        no_cache = no_cache or (image.build is not None and image.build.no_cache)
        solver = self._solver(bases, progress or _silent, no_cache)
        solver.report = report
        try:
            state = await solver.solve(image)
            assert state is not None, name
            self._images.add(state.config, state.layers, history=state.history, parent=state.parent, tags=_names(image))
        finally:
            self._images.release(solver.leased)
        return BuildResult(
            name=name,
            image=states.identity(state),
            steps=tuple(solver.statuses),
            files=sum(made.files for made in solver.made),
            summary=_summary(image, solver),
        )

    async def _states(
        self, images: Mapping[str, ImageResource], order: list[str], statuses: dict[str, tuple[StepStatus, ...]]
    ) -> dict[str, State | None]:
        """What the images are after their steps, as far as the cache can tell; `statuses` is filled."""
        result: dict[str, State | None] = {}
        for name in order:
            solver = self._solver(result, None, False)
            result[name] = await solver.solve(images[name])
            statuses[name] = tuple(solver.statuses)
        return result

    def _solver(self, bases: Mapping[str, State | None], progress: Progress | None, no_cache: bool) -> Solver:
        return Solver(
            images=self._images,
            contexts=self._contexts,
            runner=self._runner,
            pool=self._pool,
            cache=self._cache,
            bases=bases,
            progress=progress,
            no_cache=no_cache,
            pull=self.pull,
            locks=self._locks,
            making=self._making,
        )

    def _evaluation(self, image: ImageResource, state: State | None, steps: tuple[StepStatus, ...]) -> BuildEvaluation:
        identity = states.identity(state) if state is not None else ""
        if not identity or self._images.rows.get_image(identity) is None:
            return BuildEvaluation(name=image.name, steps=steps)
        missing = (tag for tag in _names(image) if self._images.rows.get_tag(tag) != identity)
        unnamed = tuple(references.familiar(tag) for tag in missing)
        return BuildEvaluation(name=image.name, image=identity, steps=steps, unnamed=unnamed)

    def _built(self, image: ImageResource) -> State:
        """A base by its name, where this machine changed since it was built."""
        tag = next(iter(_names(image)), "")
        found = self._images.rows.get_tag(tag) if tag else None
        if not found:
            raise ActionError("build-failed", f"image {image.name} is needed and not built")
        record = self._images.get(found)
        return states.of_image(record, {diff_id: self._images.blobs.size(diff_id) for diff_id in record.layers})


_silent: Callable[[str], None] = lambda line: None  # noqa: E731


def _names(image: ImageResource) -> list[str]:
    return [str(references.parse(tag)) for tag in image.tags]


def _summary(image: ImageResource, solver: Solver) -> str:
    programs = sum(made.programs for made in solver.made)
    if programs:
        return f"{sum(made.files for made in solver.made)} files, {programs} programs"
    count = len(solver.statuses)
    steps = f"{count} step" if count == 1 else f"{count} steps"
    return f"{steps} of {image.build.dockerfile}" if image.build is not None else f"{steps}, on {image.base}"
