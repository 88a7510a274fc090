"""start, stop, restart, kill and rm of a project's containers, in the order of their dependencies."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stackfile.errors import NotFoundError, UsageError
from stackfile.model.container import ContainerRecord
from stackfile.model.observed import Observed
from stackfile.model.plan import Action, Instance
from stackfile.provider.provider import Provider, Result, Work
from stackfile.reconcile import execution, removal, selection
from stackfile.reconcile.context import Decision, number
from stackfile.reconcile.execution import Handle
from stackfile.reconcile.jobs import Job, Outcome
from stackfile.reconcile.outcome import outcome
from stackfile.reconcile.plan import Draft

VERBS = {"start": "start", "stop": "stop", "restart": "restart", "kill": "kill", "rm": "remove"}
"""Verb of the command line → action."""
_DEPENDENCIES_FIRST = frozenset({"start", "restart"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleOptions:
    """`timeout` is the grace in seconds; the rest as in `Reconciler.lifecycle`."""

    services: tuple[str, ...] = ()
    timeout: int | None = None
    signal: str = ""
    force: bool = False
    volumes: bool = False


class Lifecycle:
    """One such verb under way."""

    def __init__(self, provider: Provider, job: Job, verb: str, project: str, options: LifecycleOptions) -> None:
        if verb not in VERBS:
            raise UsageError("unknown-verb", f"no such verb: {verb}", hint=", ".join(VERBS))
        self._provider = provider
        self._job = job
        self._verb = verb
        self._project = project
        self._options = options

    async def run(self) -> Outcome:
        """Raises NotFoundError for a project without containers and record, UsageError (`no-such-service`)."""
        begin = time.monotonic()
        observed = await self._provider.observe(self._project, None)
        if observed.project is None and not observed.containers:
            raise NotFoundError("project", self._project)
        made = actions(observed, self._verb, self._options)
        report = await execution.run(self._job, made, self._perform)
        result = {
            "project": self._project,
            "containers": sum(len(action.instances) for action in report.done),
            "seconds": round(time.monotonic() - begin, 3),
            **execution.lists(report),
        }
        return outcome(self._job, report, result)

    async def _perform(self, handle: Handle) -> Result:
        work = Work(
            action=handle.action,
            project=self._project,
            stop_timeout=self._options.timeout,
            signal=self._options.signal,
            force=self._options.force,
            volumes=self._options.volumes,
        )
        return await self._provider.execute(work, handle.progress)


def actions(observed: Observed, verb: str, options: LifecycleOptions) -> tuple[Action, ...]:
    """One action for each service that has containers the verb is about. Pure. Raises UsageError."""
    found = removal.containers(observed)
    stack = observed.project.stack if observed.project else None
    known = dict.fromkeys((*found, *(stack.services if stack else ())))
    chosen = selection.expand(options.services, known, stack.groups if stack else {})
    concerned = {name: [item for item in found.get(name, ()) if _concerned(verb, item, options)] for name in chosen}
    concerned = {name: records for name, records in concerned.items() if records}
    above = removal.dependents(concerned)
    before = _reversed(above) if verb in _DEPENDENCIES_FIRST else above
    draft = Draft()
    for name in _order(concerned, before):
        instances = tuple(Instance(index=number(record), container=record.id) for record in concerned[name])
        address = f"service.{name}"
        action = Action(id="", address=address, action=VERBS[verb], instances=instances)
        after = [identity for item in sorted(before[name]) for identity in draft.by_address.get(f"service.{item}", ())]
        draft.add(Decision(address=address, actions=[action]), () if verb == "kill" else after)
    return tuple(draft.actions)


def _concerned(verb: str, record: ContainerRecord, options: LifecycleOptions) -> bool:
    if verb == "start":
        return not record.state.running
    if verb in ("stop", "kill"):
        return record.state.running
    return verb != "rm" or options.force or not record.state.running


def _reversed(above: Mapping[str, set[str]]) -> dict[str, set[str]]:
    result: dict[str, set[str]] = {name: set() for name in above}
    for name, dependents in above.items():
        for dependent in dependents:
            result[dependent].add(name)
    return result


def _order(names: Iterable[str], before: Mapping[str, set[str]]) -> Sequence[str]:
    """Each after those in `before` of it; a cycle, which no stack can have, is broken at its first name."""
    pending, order = list(names), []
    while pending:
        name = next((item for item in pending if not before[item] & set(pending)), pending[0])
        pending.remove(name)
        order.append(name)
    return order
