"""The Provider protocol: a stack's resources, above any engine.

The reconciler decides; a provider observes and does. Engines that hold containers share one provider
(`engines.containers.ContainerProvider`); engines that own replicas and rollout implement this protocol themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stackfile.model.container import ContainerSpec
from stackfile.model.image import RegistryAuth
from stackfile.model.observed import Observed, Project
from stackfile.model.plan import Action
from stackfile.model.stack import Stack
from stackfile.provider.engine import Progress

STARTED = "service_started"
HEALTHY = "service_healthy"
COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One action of a plan, with all that doing it needs.

    `stack` is the wanted stack (the applied one, or None, where things are only stopped or removed); `specs` has the
    container of each replica index of a service action. Seconds for `timeout` (health of a replaced replica) and
    `stop_timeout` (grace before SIGKILL; None for the container's own).
    """

    action: Action
    project: str
    stack: Stack | None = None
    specs: dict[int, ContainerSpec] = field(default_factory=dict)
    timeout: float = 300
    stop_timeout: int | None = None
    start: bool = True
    """False creates without starting."""
    signal: str = ""
    force: bool = False
    volumes: bool = False
    """Removing a container takes its anonymous volumes along."""
    no_cache: bool = False
    credentials: Mapping[str, RegistryAuth] = field(default_factory=dict, repr=False)
    """By registry (`docker.io`, `host:port`), for pulls; kept nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was done: the word and detail for a person, and what later actions build upon."""

    word: str
    detail: str = ""
    image: str = ""
    """Id of the image that was built."""
    keys: dict[str, str] = field(default_factory=dict)
    """HMACs of the contents that were stored, named as in `Observed.keys`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a container's log."""

    container: str
    text: str


class Provider(Protocol):
    """What the reconciler drives."""

    def capabilities(self) -> Mapping[str, str]:
        """Field of a container → strategy by which a change of it is applied: the change table of this engine.

        Keys are paths of `ContainerSpec` (`environment`, `networks/ipv4`); the longest one that fits counts, and what
        no key fits is `recreate`.
        """
        ...

    async def identity(self) -> dict[str, str]:
        """kind, id and api of the engine, for the plan."""
        ...

    async def observe(self, name: str, stack: Stack | None, *, evaluate: bool = True) -> Observed:
        """Everything of project `name`; with `stack`, also what its images and contents would be.

        Without `evaluate` the images of the stack are taken as they are, whatever their inputs say.
        """
        ...

    async def execute(self, work: Work, progress: Progress) -> Result:
        """Do one action. Idempotent: what is done already is no error. Raises StackfileError."""
        ...

    async def wait(self, project: str, service: str, indices: Sequence[int], condition: str, timeout: float) -> Result:
        """Until the condition (STARTED, HEALTHY, COMPLETED) holds for these replicas (all of them for `()`).

        Raises ActionError (`unhealthy`, `exited-early`, `timeout`, `not-running`) that names the container.
        """
        ...

    async def tail(self, project: str, service: str, lines: int) -> Sequence[Line]:
        """The last lines of the logs of a service's containers."""
        ...

    async def project_put(self, project: Project) -> None: ...
    async def project_remove(self, name: str) -> None:
        """Forget the project and its contents."""
        ...
