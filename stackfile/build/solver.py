"""Goes through the steps of one image: what the cache has is taken, what it has not is made (or only told)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import TypeVar

from stackfile.build import cache as caching
from stackfile.build import state as states
from stackfile.build.cache import BuildCache, Last
from stackfile.build.contexts import ContextStore
from stackfile.build.dockerfiles import DockerfileBuild, Report
from stackfile.build.host import files as host_files
from stackfile.build.host import tree as host_trees
from stackfile.build.host.tree import HostTree
from stackfile.build.layer import Ground, Made
from stackfile.build.state import State
from stackfile.build.steps import REGISTRY
from stackfile.build.steps.base import PATIENCE, Inputs, Instruction
from stackfile.errors import NotFoundError
from stackfile.images import documents
from stackfile.images.layers import Layer
from stackfile.images.store import ImageStore
from stackfile.model.image import StepStatus
from stackfile.model.stack import ImageResource, Step
from stackfile.provider.engine import Progress
from stackfile.provider.runner import StepRunner
from stackfile.turns import Turn

T = TypeVar("T")
Pull = Callable[[str, Progress], Awaitable[object]]
"""Gets an image from its registry. NotFoundError (`image-not-found`), ActionError."""


@dataclass(slots=True, kw_only=True)
class Solver:
    """One pass over one image. `bases` are the states of the stack's images before it (None: not known yet).

    A Workshop for the instructions. With `progress` missing steps are made, else the pass stops being able to say
    more at the first of them.
    """

    images: ImageStore
    contexts: ContextStore
    runner: StepRunner
    pool: Executor
    cache: BuildCache
    bases: Mapping[str, State | None]
    progress: Progress | None = None
    no_cache: bool = False
    statuses: list[StepStatus] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    leased: list[str] = field(default_factory=list)
    stages: Mapping[str, State | None] = field(default_factory=dict)
    """Stages of the same Dockerfile, by their keys."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    locks: dict[str, Turn] = field(default_factory=dict)
    making: MutableMapping[str, Turn] = field(default_factory=dict)
    """Of steps that are being made, by their keys: two builds at once would make two layers, of different times."""
    report: Report | None = None
    pull: Pull | None = None
    _checked: set[str] = field(default_factory=set)
    """Digests of host trees whose files were looked at in this pass."""

    async def solve(self, image: ImageResource) -> State | None:
        """The state after the last step; None when a step is missing and may not be made."""
        if image.build is not None:
            return await DockerfileBuild(solver=self, image=image, build=image.build, report=self.report).solve()
        if image.base == "scratch" and not image.base_is_stack_image:
            state: State | None = State()
            below = "image scratch changed"
        else:
            state, below = await self.start(image.base, image.base_is_stack_image)
        name = image.tags[0] if image.tags else image.name
        fresh = not self.cache.knows(f"{name}#0")
        for index, step in enumerate(image.steps):
            state = await self.step(state, step, f"{name}#{index}", caching.FIRST if fresh else below)
            below = "the step before it changed"
        return state

    async def step(self, state: State | None, step: Step, place: str, below: str) -> State | None:
        """The state after one more step; `below` says why it must be made anew where only what is below changed."""
        index = int(place.rpartition("#")[2])
        instruction = REGISTRY[step.kind]
        if state is None:
            self._tell(step, index, below)
            return None
        for name in (step.from_image, *(mount.from_image for mount in step.mounts)):
            if name and not await self._there(name):
                kind = "stage" if name in self.stages else "image"
                self._tell(step, index, below if below == caching.FIRST else f"{kind} {name} changed")
                return None
        inputs = await instruction.inputs(step, state, self)
        key = caching.step_key(step.kind, state.chain_id, inputs)
        last = caching.last_of(step.kind, state.chain_id, inputs)
        reason = self.cache.explain(place, last, inputs, below)
        made = self._known(key) if instruction.makes_layer else Made()
        if made is None or (self.no_cache and instruction.makes_layer):
            reason = reason or ("built without cache" if self.no_cache else "its layer is gone")
            if self.progress is None:
                self._tell(step, index, reason, key)
                return None
            made = await self._made(instruction, step, state, key)
        elif instruction.makes_layer:
            reason = ""
        self.made.append(made)
        self._note(place, last, inputs)
        self._tell(step, index, reason, key)
        return self._after(instruction, step, state, made)

    async def _made(self, instruction: Instruction, step: Step, state: State, key: str) -> Made:
        """The layer of a step, made here or by another build that makes it now. Raises ActionError (`timeout`) too."""
        assert self.progress is not None
        if self.no_cache:
            return await self._make(instruction, step, state, key)
        turn = self.making.setdefault(key, Turn())
        text = f"{step.kind} {instruction.text(step)}"
        async with turn.take("another build's step", text, patience=PATIENCE, told=self.progress):
            return self._known(key) or await self._make(instruction, step, state, key)

    async def _make(self, instruction: Instruction, step: Step, state: State, key: str) -> Made:
        assert self.progress is not None
        text = f"{step.kind} {instruction.text(step)}"
        if self.report is None:
            self.progress(text)
        started = time.monotonic()
        made = replace(await instruction.make(step, state, self, self.progress), below=state.chain_id)
        self._lease(made)
        self.cache.put_made(key, made)
        if self.report is None:
            seconds = time.monotonic() - started
            self.progress(f"{text}: {made.files} files, {made.size / 1e6:.1f} MB in {seconds:.1f} s")
        return made

    def _after(self, instruction: Instruction, step: Step, state: State, made: Made) -> State:
        layer = Layer(diff_id=made.diff_id, chain_id=made.chain_id, size=made.size) if made.chain_id else None
        text = f"{step.kind} {instruction.text(step)}"
        return instruction.configure(step, state.on(layer)).recorded(text, empty=layer is None)

    def _known(self, key: str) -> Made | None:
        made = self.cache.made(key)
        if made is None or not made.chain_id:
            return made
        if not self.images.layers.has(made.chain_id) or not self.images.blobs.has(made.diff_id):
            return None
        self._lease(made)
        return made

    def _lease(self, made: Made) -> None:
        if self.progress is None or not made.chain_id:
            return
        for digest in (made.chain_id, made.diff_id):
            self.images.lease(digest)
            self.leased.append(digest)

    def _note(self, place: str, last: Last, inputs: Inputs) -> None:
        if self.progress is not None:
            self.cache.remember(place, last, inputs)

    def _tell(self, step: Step, index: int, reason: str, key: str = "") -> None:
        text = REGISTRY[step.kind].text(step)
        status = StepStatus(index=index, kind=step.kind, text=text, cached=not reason, reason=reason, key=key)
        self.statuses.append(status)

    async def start(self, name: str, of_stack: bool) -> tuple[State | None, str]:
        """The state on an image, and why a step on it would differ from the last time.

        NotFoundError (`image-not-found`) for one that is neither here nor can be pulled.
        """
        if of_stack:
            base = self.bases[name]
            state = base and replace(base, parent=states.identity(base), arguments={}, own_command=False)
            return state, f"image {name} changed"
        if not await self._there(name):
            return None, f"image {name} is not here yet"
        record = self.images.get(name)
        sizes = {diff_id: self.images.blobs.size(diff_id) for diff_id in record.layers}
        return states.of_image(record, sizes), f"image {name} changed"

    async def _there(self, name: str) -> bool:
        """Whether an image that a step names is known; one that can be pulled is, where steps are made."""
        for known in (self.stages, self.bases):
            if name in known:
                return known[name] is not None
        try:
            self.images.resolve(name)
        except NotFoundError:
            if self.pull is None:
                raise
            if self.progress is None:
                return False
            await self.pull(name, self.progress)
        return True

    # ---- the workshop

    async def pooled(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def host_tree(self, step: Step) -> HostTree:
        known = self.cache.tree(step)
        if known is not None and known.digest in self._checked:
            return known
        if known is None or await asyncio.to_thread(host_files.changed, known.watched):
            hashed = host_trees.hashed_before(known) if known is not None else {}
            known = await self.pooled(host_trees.resolve_step, step, hashed)
            self.cache.put_tree(step, known)
        self._checked.add(known.digest)
        return known

    def layers_of(self, name: str) -> tuple[str, ...]:
        known = self.stages if name in self.stages else self.bases
        if name not in known:
            return tuple(reversed(documents.chain_ids(self.images.get(name).layers)))
        base = known[name]
        if base is None:
            raise NotFoundError("image", name, reason="image-not-found", cause="it is not built yet")
        return tuple(layer.chain_id for layer in reversed(base.layers))

    def ground(self, state: State) -> Ground:
        lower = tuple(self.images.layers.path(layer.chain_id) for layer in reversed(state.layers))
        return Ground(root=self.images.paths.root, lower=lower, chain_id=state.chain_id)
