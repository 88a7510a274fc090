"""Builds an image from a Dockerfile: the stages that its target needs, each as a pass of the solver.

Instructions become steps one by one, when the state before them is known: variables may come from the base image.
Stages that do not need each other are built side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stackfile.build import cache as caching
from stackfile.build import state as states
from stackfile.build.host.tree import SEARCH
from stackfile.build.state import State, environment
from stackfile.build.steps import REGISTRY
from stackfile.errors import ActionError, Place, StackError, StackfileError
from stackfile.images import documents, references
from stackfile.language import dockerfile
from stackfile.language.dockerfile import source
from stackfile.language.dockerfile.lower import Scope, lower
from stackfile.language.dockerfile.source import Instruction
from stackfile.language.dockerfile.stages import Plan, StagePlan, platform_arguments
from stackfile.model.image import StepStatus
from stackfile.model.stack import Build, ImageResource, Step
from stackfile.provider.engine import BuildStep

if TYPE_CHECKING:
    from stackfile.build.solver import Solver

Report = Callable[[BuildStep], None]


def planned(build: Build) -> Plan:
    """The stages of a Dockerfile that its target needs. StackError (`dockerfile-syntax`, `unknown-stage`, …)."""
    parsed = dockerfile.parse(build.text, build.dockerfile)
    return dockerfile.plan(parsed, build.target, build.args, platform())


def platform() -> str:
    """The only platform that is built for: this machine's."""
    return f"linux/{documents.architecture()}"


@dataclass(slots=True, kw_only=True)
class DockerfileBuild:
    """One image under way. `solver` gives the stores, and gets what came of it."""

    solver: Solver
    image: ImageResource
    build: Build
    report: Report | None = None
    plan: Plan = field(init=False)
    _total: int = 0

    def __post_init__(self) -> None:
        self.plan = planned(self.build)
        self._total = sum(1 + len(item.stage.instructions) for item in self.plan.stages)

    async def solve(self) -> State | None:
        """The state of the target; None where a step is missing and may not be made."""
        passes = list(self._passes())
        tasks: dict[str, asyncio.Task[State | None]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for item in passes:
                    tasks[item.key] = group.create_task(item.run(tasks))
        except BaseExceptionGroup as error:
            raise error.exceptions[0] from None
        finally:
            self._collect(passes)
        return tasks[passes[-1].key].result()

    def _passes(self) -> Iterator[StagePass]:
        number = 1
        for item in self.plan.stages:
            last = item is self.plan.stages[-1]
            yield StagePass(owner=self, plan=item, first=number, last=last, solver=self._solver())
            number += 1 + len(item.stage.instructions)

    def _solver(self) -> Solver:
        """A solver of a stage's own, which knows the stages and what the stack says of names, and nothing more."""
        bases = {name: self.solver.bases[name] for name in self.build.images if name in self.solver.bases}
        return replace(self.solver, bases=bases, statuses=[], made=[], secrets=self.build.secret_texts)

    def _collect(self, passes: list[StagePass]) -> None:
        for item in passes:
            self.solver.made += item.solver.made
            for status in item.solver.statuses:
                self.solver.statuses.append(replace(status, index=len(self.solver.statuses)))

    def tell(self, number: int, text: str, state: State | None, cached: bool) -> None:
        """Say where the build is: a step begins (without a state), or has ended."""
        if self.report is not None:
            image = states.identity(state) if state is not None else ""
            self.report(BuildStep(number=number, total=self._total, text=text, image=image, cached=cached))


@dataclass(slots=True, kw_only=True)
class StagePass:
    """One stage under way."""

    owner: DockerfileBuild
    plan: StagePlan
    first: int
    last: bool
    solver: Solver

    @property
    def key(self) -> str:
        return self.plan.stage.key

    async def run(self, tasks: Mapping[str, asyncio.Task[State | None]]) -> State | None:
        """The state after the last instruction."""
        await asyncio.sleep(0)  # until every stage has its task
        stages = {key: await tasks[key] for key in self.plan.needs}
        self.solver = replace(self.solver, stages=stages)
        origin = self.plan.stage.origin
        self.owner.tell(self.first, origin.original, None, False)
        with _at(self.plan.stage.base_at):
            state, below = await self._base(stages)
            state = state and _with_path(state)
        self.owner.tell(self.first, origin.original, state, False)
        if not self._cached_before():
            below = caching.FIRST
        return await self._instructions(state, below)

    async def _instructions(self, state: State | None, below: str) -> State | None:
        triggers: tuple[str, ...] = ()
        if state is not None and state.config.on_build:
            triggers = state.config.on_build
            state = state.configured(on_build=())
        index = 0
        anew = False
        after = below if below == caching.FIRST else "the step before it changed"
        for text in triggers:
            state = await self._step(source.single(text, self.plan.stage.base_at), state, index, below)
            index, below = index + 1, after
        for number, instruction in enumerate(self.plan.stage.instructions, self.first + 1):
            self.owner.tell(number, instruction.original, None, False)
            before = len(self.solver.statuses)
            state = await self._step(instruction, state, index, below)
            anew = anew or any(
                not status.cached and REGISTRY[status.kind].makes_layer for status in self.solver.statuses[before:]
            )
            self.owner.tell(number, instruction.original, state, not anew)
            index, below = index + 1, after
        if self.last and self.owner.build.labels and state is not None:
            labels = Step(kind="label", mapping=dict(self.owner.build.labels))
            state = await self.solver.step(state, labels, self._place(index), below)
        return state

    async def _step(self, instruction: Instruction, state: State | None, index: int, below: str) -> State | None:
        if state is None:
            text = instruction.original.partition(" ")[2]
            kind = instruction.keyword.lower()
            self.solver.statuses.append(StepStatus(index=index, kind=kind, text=text, cached=False, reason=below))
            return None
        with _at(instruction.at):
            step = self._resolved(lower(instruction, self._scope(state)))
            return await self.solver.step(state, step, self._place(index), below)

    def _scope(self, state: State) -> Scope:
        build = self.owner.build
        return Scope(
            variables=environment(state),
            shell=state.config.shell,
            escape=self.owner.plan.escape,
            keys=self.owner.plan.keys,
            args=build.args,
            outer={**platform_arguments(platform()), **self.owner.plan.arguments},
            context=build.manifest,
            network=build.network,
            extra_hosts=build.extra_hosts,
        )

    def _resolved(self, step: Step) -> Step:
        """The step with names of contexts filled in, and the build context where none is named."""
        build = self.owner.build
        if step.from_image in build.manifests:
            step = replace(step, from_image="", context=build.manifests[step.from_image])
        elif step.from_image in build.contexts:
            step = replace(step, from_image=_image(build.contexts[step.from_image]))
        if not step.mounts:
            return step
        mounts = []
        for mount in step.mounts:
            manifest = build.manifests.get(mount.from_image, "" if mount.from_image else build.manifest)
            name = "" if manifest else _image(build.contexts.get(mount.from_image, mount.from_image))
            mounts.append(replace(mount, from_image=name, context=manifest))
        return replace(step, mounts=tuple(mounts))

    async def _base(self, stages: Mapping[str, State | None]) -> tuple[State | None, str]:
        """The state to start from, and why a step on it would differ from the last time."""
        plan = self.plan
        if plan.platform and plan.platform not in (platform(), "linux", platform().partition("/")[2]):
            message = f"FROM: this machine is {platform()}, not {plan.platform}"
            raise StackError("unsupported-key", message, at=self.plan.stage.at)
        if plan.from_stage:
            state = stages[plan.base]
            return state and replace(state, arguments={}, own_command=False), f"stage {plan.base} changed"
        if plan.base == "scratch":
            return State(), caching.FIRST
        name = _image(self.owner.build.contexts.get(plan.base, plan.base))
        if name not in self.solver.bases:
            _check_reference(name)
        return await self.solver.start(name, name in self.solver.bases)

    def _place(self, index: int) -> str:
        image = self.owner.image
        name = image.tags[0] if image.tags else image.name
        return f"{name}/{self.key}#{index}"

    def _cached_before(self) -> bool:
        return self.solver.cache.knows(self._place(0))


def _check_reference(name: str) -> None:
    try:
        references.parse(name)
    except ActionError as e:
        raise StackError("bad-value", f"FROM: {e.message}", cause=e.cause) from e


def _with_path(state: State) -> State:
    """Images from Dockerfiles have a PATH, as Docker's have."""
    if any(entry.startswith("PATH=") for entry in state.config.environment):
        return state
    return state.configured(environment=(*state.config.environment, f"PATH={SEARCH}"))


def _image(context: str) -> str:
    """A named context that is an image: the stack's, or a reference."""
    return context.removeprefix("image:").removeprefix("docker-image://")


@contextmanager
def _at(place: Place) -> Iterator[None]:
    """Errors without a place happened here."""
    try:
        yield
    except StackfileError as error:
        error.at = error.at or place
        raise
