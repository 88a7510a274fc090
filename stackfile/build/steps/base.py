"""What every recipe instruction is to the solver."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from stackfile.build.contexts import ContextStore
from stackfile.build.host.tree import HostTree
from stackfile.build.layer import Ground, Made
from stackfile.build.state import State
from stackfile.images.store import ImageStore
from stackfile.model.stack import Step
from stackfile.provider.engine import Progress
from stackfile.provider.runner import StepRunner
from stackfile.turns import Turn

T = TypeVar("T")
PATIENCE = 3600.0
"""Seconds to wait for what another step has for itself: a compilation takes its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the result of a step depends on, beside the layers below it.

    `parts` are its settings by a name for a person ("environment PATH", "command"); `content` is a digest of the
    files it reads, and `files` tells them apart (path → digest), asked only where a change is explained.
    """

    parts: Mapping[str, str] = field(default_factory=dict)
    content: str = ""
    files: Callable[[], Mapping[str, str]] = dict


class Workshop(Protocol):
    """What instructions work with; the solver is one."""

    images: ImageStore
    contexts: ContextStore
    runner: StepRunner
    secrets: Mapping[str, str]
    """What `run` may mount as secrets: id → content."""
    locks: dict[str, Turn]
    """Of caches that one step at a time may use, by id."""

    async def pooled(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function of a module in a worker process."""
        ...

    async def host_tree(self, step: Step) -> HostTree:
        """What a host step brings, as this machine is now."""
        ...

    def layers_of(self, name: str) -> tuple[str, ...]:
        """Chain ids of the layers of an image that a step names (one of the stack, or a reference), topmost first.

        NotFoundError (`image-not-found`), also for an image of the stack that is not built.
        """
        ...

    def ground(self, state: State) -> Ground:
        """What the next layer is put on."""
        ...


class Instruction(Protocol):
    """An instruction. `makes_layer` says that `make` may be called."""

    @property
    def kind(self) -> str: ...

    @property
    def makes_layer(self) -> bool: ...

    def text(self, step: Step) -> str:
        """The step in one line, without its key."""
        ...

    async def inputs(self, step: Step, state: State, workshop: Workshop) -> Inputs:
        """What the result depends on."""
        ...

    def configure(self, step: Step, state: State) -> State:
        """The state with the step's change of the configuration."""
        ...

    def make(self, step: Step, state: State, workshop: Workshop, progress: Progress) -> Awaitable[Made]:
        """Make and publish the layer of the step on top of `state`."""
        ...
