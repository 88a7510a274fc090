"""Runs actions in parallel along their edges, and tells what became of each.

An action waits for those it comes after: until they are done, or only until they have *started* where that is enough
(a service whose dependent waits for a condition itself). A failure skips what depends on it; the rest goes on. After
an interrupt nothing new starts, and what is under way is finished.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from stackfile import log
from stackfile.errors import ActionError, StackfileError
from stackfile.model.event import JobEvent
from stackfile.model.plan import Action
from stackfile.provider.provider import Result
from stackfile.reconcile.jobs import Job
from stackfile.refusals import understood
from stackfile.wire import error_to_plain

LOG = log.get(__name__)

DONE, FAILED, SKIPPED, NOT_STARTED = "done", "failed", "skipped", "not-started"


class Skipped(Exception):
    """Raised by a performer: something it depends on did not become ready. `message` says what."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Interrupted(Skipped):
    """Raised by a performer that was still waiting when the job was interrupted: the action did not start."""


class Handle:
    """The running side of an action: what its performer may tell meanwhile."""

    def __init__(self, job: Job, action: Action) -> None:
        self.action = action
        self.started = asyncio.Event()
        """Set by the performer once dependents that wait for conditions themselves may go on."""
        self.ended = asyncio.Event()
        self.state = ""
        self.error: StackfileError | None = None
        self._job = job
        self._begin = time.monotonic()

    def event(self, status: str, *, word: str = "", detail: str = "", message: str = "") -> None:
        """Emit an event of this action."""
        self._job.emit(
            JobEvent(
                sequence=0,
                type="action",
                id=self.action.id,
                address=self.action.address,
                action=self.action.action,
                status=status,
                word=word,
                detail=detail,
                message=message,
                seconds=round(time.monotonic() - self._begin, 3),
                error=error_to_plain(self.error) if self.error is not None else None,
                attributes={"instances": instances(self.action)} if self.action.instances else {},
            )
        )

    def progress(self, line: str) -> None:
        """Emit a line for a person: of a build step, say."""
        self._job.emit(JobEvent(sequence=0, type="log", id=self.action.id, address=self.action.address, message=line))

    def begin(self) -> None:
        self._begin = time.monotonic()
        self.event("started")

    def finish(self, state: str, *, word: str = "", detail: str = "", message: str = "") -> None:
        self.state = state
        if state != NOT_STARTED:
            self.event(state, word=word, detail=detail, message=message)
        self.ended.set()


Perform = Callable[[Handle], Awaitable[Result]]
Needs = Callable[[Action, Action], str]
"""(action, one it comes after) → `done`, `started`, or `ended` where even its failure does not matter."""


@dataclass(slots=True)
class Report:
    """What became of the actions, in the order of the plan."""

    done: list[Action] = field(default_factory=list)
    failed: list[tuple[Action, StackfileError]] = field(default_factory=list)
    skipped: list[Action] = field(default_factory=list)
    not_started: list[Action] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not (self.failed or self.skipped or self.not_started)

    def finished(self, address: str) -> bool:
        """Whether nothing of `address` is left undone."""
        rest = [*(action for action, _ in self.failed), *self.skipped, *self.not_started]
        return all(action.address != address for action in rest)


def needs_done(action: Action, dependency: Action) -> str:
    return "done"


async def run(job: Job, actions: Sequence[Action], perform: Perform, needs: Needs = needs_done) -> Report:
    """Perform all actions; never raises for the failure of one."""
    handles = {action.id: Handle(job, action) for action in actions}
    async with asyncio.TaskGroup() as group:
        for handle in handles.values():
            group.create_task(_one(job, handle, handles, perform, needs))
    return _report(handles.values())


async def _one(job: Job, handle: Handle, handles: dict[str, Handle], perform: Perform, needs: Needs) -> None:
    for identity in handle.action.after:
        dependency = handles[identity]
        need = needs(handle.action, dependency.action)
        await _ready(dependency, need)
        if need != "ended" and dependency.state not in ("", DONE):
            _skip(handle, dependency)
            return
    if job.interrupted:
        handle.finish(NOT_STARTED)
        return
    handle.begin()
    await _perform(handle, perform)


async def _perform(handle: Handle, perform: Perform) -> None:
    try:
        result = await perform(handle)
    except Interrupted:
        handle.event(SKIPPED, message="interrupted")
        handle.finish(NOT_STARTED)
    except Skipped as skipped:
        handle.finish(SKIPPED, message=skipped.message)
    except StackfileError as error:
        handle.error = error
        handle.finish(FAILED)
    except Exception as error:
        known = understood(error)
        trace = error if known.reason == "internal" else None
        LOG.error("%s %s: %s", handle.action.action, handle.action.address, known, exc_info=trace)
        handle.error = ActionError(
            known.reason,
            f"{handle.action.address}: {known.message}",
            cause=known.cause,
            hint=known.hint,
            details=known.details,
        )
        handle.finish(FAILED)
    else:
        handle.finish(DONE, word=result.word, detail=result.detail)


async def _ready(dependency: Handle, need: str) -> None:
    """Wait for a dependency; also returns once it ended in any other way."""
    waits = {asyncio.ensure_future(dependency.ended.wait())}
    if need == "started":
        waits.add(asyncio.ensure_future(dependency.started.wait()))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _skip(handle: Handle, dependency: Handle) -> None:
    if dependency.state == NOT_STARTED:
        handle.finish(NOT_STARTED)
        return
    word = "failed" if dependency.state == FAILED else "was skipped"
    handle.finish(SKIPPED, message=f"{dependency.action.address} {word}")


def _report(handles: Iterable[Handle]) -> Report:
    report = Report()
    for handle in handles:
        if handle.state == DONE:
            report.done.append(handle.action)
        elif handle.state == FAILED:
            assert handle.error is not None
            report.failed.append((handle.action, handle.error))
        elif handle.state == SKIPPED:
            report.skipped.append(handle.action)
        else:
            report.not_started.append(handle.action)
    return report


def lists(report: Report, late: Sequence[str] = ()) -> dict[str, list[str]]:
    """done, failed, not_done: addresses, each once, for the result of a job. `late` failed without an action."""
    undone = [*report.skipped, *report.not_started]
    return {
        "done": list(dict.fromkeys(action.address for action in report.done)),
        "failed": list(dict.fromkeys([*(action.address for action, _ in report.failed), *late])),
        "not_done": list(dict.fromkeys(action.address for action in undone)),
    }


def instances(action: Action) -> str:
    """Replica indices for a person: `1`, `1..4`, `1,3`."""
    indices = sorted(instance.index for instance in action.instances)
    if len(indices) > 1 and indices == list(range(indices[0], indices[-1] + 1)):
        return f"{indices[0]}..{indices[-1]}"
    return ",".join(str(index) for index in indices)
