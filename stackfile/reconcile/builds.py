"""`build`: images of a stack, each after the ones it is based on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from stackfile import graph as graphs
from stackfile.errors import UsageError
from stackfile.model.image import RegistryAuth
from stackfile.model.plan import Action
from stackfile.model.stack import Stack
from stackfile.provider.provider import Provider, Result, Work
from stackfile.reconcile import execution
from stackfile.reconcile.context import Decision
from stackfile.reconcile.execution import Handle
from stackfile.reconcile.jobs import Job, Outcome
from stackfile.reconcile.outcome import outcome
from stackfile.reconcile.plan import Draft


class Build:
    """One `build` under way."""

    def __init__(
        self,
        provider: Provider,
        job: Job,
        stack: Stack,
        names: Sequence[str],
        no_cache: bool,
        credentials: Mapping[str, RegistryAuth],
    ) -> None:
        self._provider = provider
        self._job = job
        self._stack = stack
        self._names = names
        self._no_cache = no_cache
        self._credentials = credentials
        self._images: dict[str, str] = {}

    async def run(self) -> Outcome:
        begin = time.monotonic()
        report = await execution.run(self._job, actions(self._stack, self._names), self._perform)
        result = {
            "project": self._stack.name,
            "images": self._images,
            "seconds": round(time.monotonic() - begin, 3),
            **execution.lists(report),
        }
        return outcome(self._job, report, result)

    async def _perform(self, handle: Handle) -> Result:
        work = Work(
            action=handle.action,
            project=self._stack.name,
            stack=self._stack,
            no_cache=self._no_cache,
            credentials=self._credentials,
        )
        result = await self._provider.execute(work, handle.progress)
        self._images[handle.action.address.partition(".")[2]] = result.image
        return result


def actions(stack: Stack, names: Sequence[str]) -> tuple[Action, ...]:
    """A build of each named image (or service's image) and of its bases; of all images for no name. Pure.

    Raises UsageError (`no-such-service`).
    """
    graph = graphs.build(stack)
    pending = [f"image.{_image(stack, name)}" for name in names or stack.images]
    wanted: set[str] = set()
    while pending:
        node = pending.pop()
        if node not in wanted:
            wanted.add(node)
            pending += graph.successors(node)
    draft = Draft()
    for node in graphs.order(graph):
        if node in wanted:
            after = [identity for base in graph.successors(node) for identity in draft.by_address.get(base, ())]
            draft.add(Decision(address=node, actions=[Action(id="", address=node, action="build")]), after)
    return tuple(draft.actions)


def _image(stack: Stack, name: str) -> str:
    """Names mean images; a service's name means the image it runs, when that is the stack's."""
    if name in stack.images:
        return name
    service = stack.services.get(name)
    if service is not None and service.image_is_stack_image:
        return service.image
    raise UsageError("no-such-service", f"no image or service to build: {name}", hint=", ".join(stack.images))
