"""Images from registries: what a plan says of them (pure), and `pull`, which fetches those of a stack."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence

from stackfile.model.image import RegistryAuth
from stackfile.model.observed import Observed, UpOptions
from stackfile.model.plan import Action, Cause
from stackfile.model.stack import Stack
from stackfile.provider.provider import Provider, Result, Work
from stackfile.reconcile import execution, policy, selection
from stackfile.reconcile import origins as places
from stackfile.reconcile.context import Context, Decision
from stackfile.reconcile.execution import Handle
from stackfile.reconcile.jobs import Job, Outcome
from stackfile.reconcile.outcome import outcome


def address(reference: str) -> str:
    return f"image.{reference}"


def decide(context: Context, chosen: Collection[str]) -> Iterator[Decision]:
    """The pulls that the chosen services need, each once."""
    seen: set[str] = set()
    for service in context.stack.services.values():
        if f"service.{service.name}" not in chosen or service.image in seen or service.image_is_stack_image:
            continue
        seen.add(service.image)
        reason = context.pulls.get(service.image)
        if reason:
            origin = places.find(context.stack.origins, f"service.{service.name}", "image")
            cause = Cause(kind="image", origin=origin, detail=reason)
            action = Action(id="", address=address(service.image), action="pull", cause=cause)
            yield Decision(address=action.address, actions=[action])


class Pull:
    """One `pull` under way."""

    def __init__(
        self,
        provider: Provider,
        job: Job,
        stack: Stack,
        names: Sequence[str],
        wanted: str,
        credentials: Mapping[str, RegistryAuth],
    ) -> None:
        self._provider = provider
        self._job = job
        self._stack = stack
        self._names = names
        self._policy = wanted
        self._credentials = credentials
        self._images: dict[str, str] = {}

    async def run(self) -> Outcome:
        begin = time.monotonic()
        observed = await self._provider.observe(self._stack.name, self._stack, evaluate=False)
        report = await execution.run(
            self._job, actions(self._stack, observed, self._names, self._policy), self._perform
        )
        result = {
            "project": self._stack.name,
            "images": self._images,
            "seconds": round(time.monotonic() - begin, 3),
            **execution.lists(report),
        }
        return outcome(self._job, report, result)

    async def _perform(self, handle: Handle) -> Result:
        work = Work(action=handle.action, project=self._stack.name, stack=self._stack, credentials=self._credentials)
        result = await self._provider.execute(work, handle.progress)
        self._images[handle.action.address.partition(".")[2]] = result.image
        return result


def actions(stack: Stack, observed: Observed, names: Sequence[str], wanted: str) -> tuple[Action, ...]:
    """A pull of the image of each of these services (all for none) that is not the stack's own. Pure.

    `wanted` is always or missing; services whose own policy is never or build are left out. Raises UsageError
    (`no-such-service`).
    """
    chosen = set(selection.expand(names, stack.services, stack.groups))
    services = {
        name: item
        for name, item in stack.services.items()
        if name in chosen and item.pull_policy not in ("never", "build") and not item.image_is_stack_image
    }
    part = Stack(name=stack.name, services=services)
    due = policy.due(part, observed, UpOptions(pull=wanted))
    return tuple(
        Action(id=f"a{index}", address=address(reference), action="pull", cause=Cause(kind="image", detail=reason))
        for index, (reference, reason) in enumerate(due.items())
    )
