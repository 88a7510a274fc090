"""`up`: a plan applied. What depends on something that was unknown is decided again once it is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackfile import wire
from stackfile.errors import StackfileError
from stackfile.model.event import JobEvent
from stackfile.model.image import RegistryAuth
from stackfile.model.observed import Observed, UpOptions
from stackfile.model.plan import Action, Plan, Summary
from stackfile.model.stack import Dependency, Stack
from stackfile.provider.provider import COMPLETED, HEALTHY, STARTED, Provider, Result, Work
from stackfile.reconcile import execution, plan, record, services
from stackfile.reconcile.context import Context, by_service
from stackfile.reconcile.execution import Handle, Interrupted, Report, Skipped
from stackfile.reconcile.jobs import Job, Outcome
from stackfile.reconcile.outcome import outcome

DEFAULT_TIMEOUT = 300
PARALLEL = 16
TAIL = 20
_NOTICE = 0.3
"""Seconds of waiting for a dependency before the wait is told."""


class Up:
    """One `up` under way."""

    def __init__(
        self,
        provider: Provider,
        job: Job,
        stack: Stack,
        options: UpOptions,
        observed: Observed,
        made: Plan,
        now: Callable[[], str],
        credentials: Mapping[str, RegistryAuth] = {},
    ) -> None:
        self._provider = provider
        self._job = job
        self._stack = stack
        self._options = options
        self._observed = observed
        self._plan = made
        self._now = now
        self._credentials = credentials
        self._context = Context.of(stack, observed, options, provider.capabilities())
        self._unknown = {entry["address"] for entry in made.unknown}
        for action in made.actions:
            if action.address not in self._unknown:
                self._context.note(action)
        self._timeout = float(options.timeout or DEFAULT_TIMEOUT)
        self._slots = asyncio.Semaphore(options.parallel or PARALLEL)
        self._really: dict[str, Sequence[Action]] = {}
        """Action → what was really done for it: something else, or nothing, where it rested on something unknown."""
        self._published: dict[str, str] = {}
        """Where the ports of a service answer."""

    async def run(self) -> Outcome:
        """Apply the plan, wait for health, remember what was applied."""
        begin = time.monotonic()
        shown = replace(
            self._plan, desired={key: self._plan.desired[key] for key in self._plan.desired if key != "stack"}
        )
        self._job.emit(JobEvent(sequence=0, type="plan", plan=wire.to_plain(shown)))
        if self._plan.actions and self._observed.project is None:
            await self._provider.project_put(record.begun(self._stack, self._now()))
        report = await execution.run(self._job, self._plan.actions, self._perform, self._needs)
        late = await self._wait_for_unchanged(report)
        acted = bool(self._plan.actions)
        observed = await self._provider.observe(self._stack.name, None) if acted else self._observed
        await self._remember(report, observed)
        await self._tell_logs(report, late)
        result = self._result(report, late, observed, time.monotonic() - begin)
        return outcome(self._job, report, result, [error for _, error in late])

    # ---------------------------------------------------------------- one action

    def _needs(self, action: Action, dependency: Action) -> str:
        """Between services the dependent waits for its condition itself, once the other was started."""
        ours, theirs = _service(action), _service(dependency)
        if not ours or not theirs or ours == theirs:
            return "done"
        wanted = self._stack.services.get(ours)
        edge = wanted.depends_on.get(theirs) if wanted else None
        if edge is not None and not edge.required:
            return "ended"
        return "started"

    async def _perform(self, handle: Handle) -> Result:
        name = _service(handle.action)
        if not name or handle.action.action == "remove":
            return await self._execute(handle, handle.action)
        return await self._service(handle, name)

    async def _execute(self, handle: Handle, action: Action) -> Result:
        work = Work(
            action=action,
            project=self._stack.name,
            stack=self._stack,
            specs=self._specs(action),
            timeout=self._timeout,
            stop_timeout=self._options.stop_timeout,
            start=not self._options.no_start,
            credentials=self._credentials,
        )
        async with self._slots:
            if self._job.interrupted:
                raise Interrupted("interrupted")  # while it waited for its turn
            result = await self._provider.execute(work, handle.progress)
        if result.image:
            known = self._context.knowledge
            images = known.references if action.action == "pull" else known.images
            images[action.address.partition(".")[2]] = result.image
        self._context.knowledge.keys.update(result.keys)
        return result

    def _specs(self, action: Action) -> dict[int, Any]:
        name = _service(action)
        if name not in self._stack.services or action.action == "remove":
            return {}
        wanted = services.specs(self._context, name)
        return {instance.index: wanted[instance.index] for instance in action.instances}

    async def _service(self, handle: Handle, name: str) -> Result:
        await self._wait_for_dependencies(handle, name)
        result = Result(word="unchanged")
        decided = self._decided(handle.action, name)
        for action in decided:
            result = await self._execute(handle, action)
        self._really[handle.action.id] = decided
        handle.started.set()
        if self._options.no_start or not self._options.wait:
            return result
        indices = [instance.index for instance in handle.action.instances]
        ready = await self._unless_interrupted(self._wait_ready(name, indices))
        if ready is None:
            return result
        self._published[handle.action.address] = ready.detail
        kept = result.word == "unchanged" or handle.action.action == "update"
        return replace(ready, word=result.word, detail=result.detail or ready.detail) if kept else ready

    def _decided(self, action: Action, name: str) -> Sequence[Action]:
        """The action as planned; where it rested on something unknown, what is really needed now (maybe nothing)."""
        if action.address not in self._unknown:
            return (action,)
        indices = {instance.index for instance in action.instances}
        found = []
        for decided in services.decide(self._context, name).actions:
            instances = tuple(instance for instance in decided.instances if instance.index in indices)
            if instances and decided.action != "remove":
                found.append(replace(decided, id=action.id, instances=instances))
        return found

    # ---------------------------------------------------------------- waits

    async def _wait_for_dependencies(self, handle: Handle, name: str) -> None:
        """Until the conditions of `depends_on` hold. Raises Skipped."""
        if self._options.no_start:
            return
        for target, dependency in self._stack.services[name].depends_on.items():
            if self._options.no_deps and "/" not in target and not self._context.containers.get(target):
                continue
            await self._wait_for(handle, target, dependency)

    async def _wait_for(self, handle: Handle, target: str, dependency: Dependency) -> None:
        project, service = target.split("/") if "/" in target else (self._stack.name, target)
        wait = asyncio.ensure_future(self._provider.wait(project, service, (), dependency.condition, self._timeout))
        try:
            await asyncio.wait({wait}, timeout=_NOTICE)
            if not wait.done():
                handle.event("waiting", detail=f"for service.{target} ({_meaning(dependency.condition)})")
            if await self._unless_interrupted(wait) is None:
                raise Interrupted("interrupted")
        except StackfileError as error:
            if dependency.required:
                raise Skipped(f"service.{target}: {error.message}") from error

    async def _wait_ready(self, name: str, indices: Sequence[int]) -> Result:
        condition = COMPLETED if name in self._context.completes else HEALTHY
        return await self._provider.wait(self._stack.name, name, indices, condition, self._timeout)

    async def _unless_interrupted(self, work: Awaitable[Result]) -> Result | None:
        """The result of a wait; None when the job was interrupted first."""
        task = asyncio.ensure_future(work)
        interrupt = asyncio.ensure_future(self._job.until_interrupted())
        try:
            await asyncio.wait({task, interrupt}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            interrupt.cancel()
            if not task.done():
                task.cancel()

    async def _wait_for_unchanged(self, report: Report) -> list[tuple[str, StackfileError]]:
        """Services that stay as they are count too: `up` returns when the whole stack is healthy."""
        names = [address.partition(".")[2] for address in self._plan.unchanged if address.startswith("service.")]
        if not names or not self._options.wait or self._options.no_start or self._job.interrupted:
            return []
        found = await asyncio.gather(
            *(self._unless_interrupted(self._wait_ready(name, ())) for name in names), return_exceptions=True
        )
        late: list[tuple[str, StackfileError]] = []
        for name, result in zip(names, found, strict=True):
            if isinstance(result, StackfileError):
                late.append((name, result))
            elif isinstance(result, BaseException):
                raise result
            elif result is not None:
                self._published[f"service.{name}"] = result.detail
        return late

    # ---------------------------------------------------------------- the end

    async def _remember(self, report: Report, observed: Observed) -> None:
        """Keep the model of what was really applied."""
        before = self._observed.project
        applied = [*self._plan.unchanged, *(action.address for action in self._plan.actions)]
        done = {address for address in applied if report.finished(address)}
        wanted = record.scaled(self._stack, self._options.scale)
        project = record.applied(
            before, wanted, done, self._context.knowledge.keys, self._kept(), bool(report.done), self._now()
        )
        nothing = not (observed.containers or observed.networks or observed.volumes or project.keys)
        if nothing and not report.complete and before is None:
            await self._provider.project_remove(self._stack.name)
        elif record.differs(before, project):
            await self._provider.project_put(project)

    def _kept(self) -> set[str]:
        """Addresses that are no longer in the stack but still there."""
        return {entry["address"] for entry in self._plan.kept}

    async def _tell_logs(self, report: Report, late: Sequence[tuple[str, StackfileError]]) -> None:
        """The last log lines of the services that failed. Of a failed successor they were told, it is gone."""
        failed = [_service(action) for action, _ in report.failed if action.action != "recreate"]
        names = [*failed, *(name for name, _ in late)]
        for name in dict.fromkeys(filter(None, names)):
            for line in await self._provider.tail(self._stack.name, name, TAIL):
                self._job.emit(
                    JobEvent(
                        sequence=0,
                        type="log",
                        address=f"service.{name}",
                        message=line.text,
                        attributes={"container": line.container, "failed": "true"},
                    )
                )

    def _counts(self, report: Report) -> Summary:
        done = [item for action in report.done for item in self._really.get(action.id, (action,))]
        idle = [action.address for action in report.done if not self._really.get(action.id, (action,))]
        return plan.summarize(self._context, done, [*self._plan.unchanged, *dict.fromkeys(idle)])

    def _result(
        self, report: Report, late: Sequence[tuple[str, StackfileError]], observed: Observed, seconds: float
    ) -> dict[str, Any]:
        chosen = [*self._plan.unchanged, *(action.address for action in self._plan.actions)]
        wanted = [address for address in dict.fromkeys(chosen) if _exists(self._stack, address)]
        return {
            "project": self._stack.name,
            "environment": self._stack.environment,
            "counts": wire.to_plain(self._counts(report)),
            "resources": len(wanted),
            "containers": _containers(observed, wanted),
            "seconds": round(seconds, 3),
            "ports": [{"address": address, "url": url} for address, url in self._published.items() if url],
            **execution.lists(report, [f"service.{name}" for name, _ in late]),
        }


def _service(action: Action) -> str:
    kind, _, name = action.address.partition(".")
    return name if kind == "service" else ""


def _exists(stack: Stack, address: str) -> bool:
    kind, _, name = address.partition(".")
    return name in getattr(stack, f"{kind}s")


def _containers(observed: Observed, wanted: Sequence[str]) -> int:
    found = by_service(observed)
    return sum(len(found.get(address.partition(".")[2], ())) for address in wanted if address.startswith("service."))


def _meaning(condition: str) -> str:
    return {STARTED: "to run", HEALTHY: "to be healthy", COMPLETED: "to complete"}.get(condition, condition)
