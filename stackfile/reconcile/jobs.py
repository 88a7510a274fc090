"""Jobs: every change is one, with an id and a numbered stream of events.

One job at a time per project: the next ones wait in order and say for whom. Different projects run in parallel.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stackfile import log, wire
from stackfile.errors import ActionError, NotFoundError, StackfileError
from stackfile.model.event import JobEvent
from stackfile.refusals import understood

LOG = log.get(__name__)
FINISHED_KEPT = 100
"""Finished jobs whose events stay readable."""
LINES_KEPT, LINES_OF_OLD, WHOLE_KEPT = 5000, 200, 5
"""Lines of output (events of type `log`) that a job keeps, and one that ended before the last `WHOLE_KEPT` did."""

PATIENCE = 3600.0
"""Seconds that a job waits for its turn: builds and pulls before it take their time."""

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended: done, failed or cancelled; the error of a failure; what it has to tell in any case."""

    status: str = DONE
    error: StackfileError | None = None
    result: dict[str, Any] = field(default_factory=dict)


class Job:
    """A change under way or finished. Its events begin with type `job` and end with type `end`."""

    def __init__(self, identity: str, kind: str, project: str, clock: Callable[[], int]) -> None:
        self.id = identity
        self.kind = kind
        self.project = project
        self.status = WAITING
        self.started_ns = clock()
        self.task: asyncio.Task[None] | None = None
        self._clock = clock
        self._events: dict[int, JobEvent] = {}
        self._last = 0
        self._lines: deque[int] = deque()
        self._changed = asyncio.Event()
        self._interrupt = asyncio.Event()
        self.emit(JobEvent(sequence=0, type="job", id=identity, attributes={"kind": kind, "project": project}))

    @property
    def finished(self) -> bool:
        return self.status in (DONE, FAILED, CANCELLED)

    @property
    def interrupted(self) -> bool:
        return self._interrupt.is_set()

    def interrupt(self) -> None:
        """Start nothing new, finish what is under way, then end as cancelled. A second one changes nothing."""
        self._interrupt.set()

    async def until_interrupted(self) -> None:
        await self._interrupt.wait()

    def begin(self) -> None:
        """It has its turn: what waits for it now counts from here."""
        self.status = RUNNING
        self.started_ns = self._clock()

    def emit(self, event: JobEvent) -> None:
        """Append an event; sequence (from 1) and time are set here."""
        self._last += 1
        self._events[self._last] = replace(event, sequence=self._last, time_ns=self._clock())
        if event.type == "log":
            self._lines.append(self._last)
            self.shorten(LINES_KEPT)
        self._changed.set()
        self._changed = asyncio.Event()

    async def events(self, after: int = 0) -> AsyncIterator[JobEvent]:
        """Events with a sequence number above `after`, past ones first, until the job has ended.

        In place of lines that are not kept any more comes one that says how many they were.
        """
        position, missed = max(after, 0), 0
        while True:
            changed = self._changed
            while position < self._last:
                position += 1
                event = self._events.get(position)
                if event is None:
                    missed += 1
                    continue
                if missed:
                    yield self._omission(event, missed)
                    missed = 0
                yield event
            if self.finished:
                return
            await changed.wait()

    def shorten(self, lines: int) -> None:
        """Forget all output but the last `lines`."""
        while len(self._lines) > lines:
            del self._events[self._lines.popleft()]

    def _omission(self, following: JobEvent, lines: int) -> JobEvent:
        text = f"{lines} lines of output are not kept any more"
        return JobEvent(
            sequence=following.sequence - 1, time_ns=following.time_ns, type="note", severity="note", message=text
        )

    def end(self, outcome: Outcome) -> None:
        """Emit the last event."""
        assert not self.finished, self.id
        self.status = outcome.status
        error = wire.error_to_plain(outcome.error) if outcome.error is not None else None
        self.emit(JobEvent(sequence=0, type="end", status=outcome.status, error=error, result=outcome.result))


Body = Callable[[Job], Awaitable[Outcome]]


class JobManager:
    """Starts jobs, one at a time per project, and keeps the events of the last finished ones."""

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._queues: dict[str, list[Job]] = {}

    def start(self, kind: str, project: str, body: Body) -> Job:
        """Run `body` as a job of `project` once those before it have ended. Needs a running loop."""
        job = Job(secrets.token_hex(6), kind, project, self._clock)
        self._jobs[job.id] = job
        self._queues.setdefault(project, []).append(job)
        job.task = asyncio.get_running_loop().create_task(self._run(job, body), name=f"job {kind} {project}")
        return job

    def get(self, identity: str) -> Job:
        """Raises NotFoundError."""
        if identity not in self._jobs:
            raise NotFoundError("job", identity)
        return self._jobs[identity]

    def list(self) -> Sequence[Job]:
        """Known jobs, oldest first."""
        return tuple(self._jobs.values())

    async def close(self, timeout: float = 30) -> None:
        """Interrupt all jobs and wait until they have ended; after `timeout` seconds cancel what is left."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None and not job.task.done()]
        for job in self._jobs.values():
            job.interrupt()
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _run(self, job: Job, body: Body) -> None:
        try:
            outcome = await self._turn(job) or await self._body(job, body)
        finally:
            queue = self._queues[job.project]
            queue.remove(job)
            if not queue:
                del self._queues[job.project]
        job.end(outcome)
        self._forget_old()

    async def _turn(self, job: Job) -> Outcome | None:
        """Wait until `job` is first of its project; an Outcome when it was interrupted before, or waits too long."""
        told: Job | None = None
        deadline = time.monotonic() + PATIENCE
        while (holder := self._queues[job.project][0]) is not job:
            if holder is not told:
                told = holder
                job.emit(self._waiting_event(job, holder))
            assert holder.task is not None
            interrupt = asyncio.ensure_future(job.until_interrupted())
            try:
                left = max(0.0, deadline - time.monotonic())
                ended, _ = await asyncio.wait(
                    {holder.task, interrupt}, timeout=left, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                interrupt.cancel()
            if job.interrupted:
                return Outcome(status=CANCELLED, error=cancelled())
            if not ended:
                return Outcome(status=FAILED, error=self._too_late(job, holder))
        job.begin()
        return None

    def _since(self, job: Job) -> int:
        """Seconds for which a job runs."""
        return max(0, self._clock() - job.started_ns) // 1_000_000_000

    def _too_late(self, job: Job, holder: Job) -> ActionError:
        return ActionError(
            "timeout",
            f"{job.kind} of {job.project} has waited {PATIENCE:g} s for its turn",
            cause=f"job {holder.id} ({holder.kind} of {job.project}) runs since {self._since(holder)} s",
            hint="ctrl-C in the command that runs it ends it",
        )

    def _waiting_event(self, job: Job, holder: Job) -> JobEvent:
        since = self._since(holder)
        return JobEvent(
            sequence=0,
            type="waiting",
            message=f"waiting for job {holder.id} ({holder.kind} of {job.project}, since {since} s)",
            attributes={"job": holder.id, "kind": holder.kind, "project": job.project, "since": str(since)},
        )

    async def _body(self, job: Job, body: Body) -> Outcome:
        try:
            return await body(job)
        except StackfileError as error:
            status = CANCELLED if error.reason == "cancelled" else FAILED
            return Outcome(status=status, error=error)
        except asyncio.CancelledError:
            return Outcome(status=CANCELLED, error=cancelled())
        except Exception as error:
            LOG.exception("job %s (%s %s)", job.id, job.kind, job.project)
            return Outcome(status=FAILED, error=understood(error))

    def _forget_old(self) -> None:
        finished = [job.id for job in self._jobs.values() if job.finished]
        for identity in finished[: max(0, len(finished) - FINISHED_KEPT)]:
            del self._jobs[identity]
        for identity in finished[-FINISHED_KEPT:-WHOLE_KEPT]:
            self._jobs[identity].shorten(LINES_OF_OLD)


def cancelled() -> ActionError:
    """The error of a job that was interrupted."""
    return ActionError("cancelled", "interrupted")
