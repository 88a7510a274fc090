"""Follows a job in the foreground: progress, ctrl-C, and how it ended."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stackfile.cli.context import Context
from stackfile.cli.output.progress import Progress
from stackfile.errors import ActionError, StackfileError
from stackfile.model.event import JobEvent


class Detached(KeyboardInterrupt):
    """A second ctrl-C: the job goes on alone, the command ends."""


class Finished:
    """How a job ended. `interrupted`: by our ctrl-C."""

    def __init__(self, end: JobEvent, progress: Progress) -> None:
        self.end = end
        self.progress = progress

    @property
    def interrupted(self) -> bool:
        return self.end.status == "cancelled"

    def error(self) -> StackfileError | None:
        """The error of a job that failed."""
        from stackfile.api import error_from_plain

        if self.end.status == "done":
            return None
        if self.end.error:
            return error_from_plain(self.end.error)
        return ActionError("action-failed", f"the job ended as {self.end.status or 'unknown'}")


def follow(context: Context, events: Iterator[JobEvent], progress: Progress) -> Finished:
    """Show a job until its end. The first ctrl-C interrupts it, the second raises Detached.

    Raises ActionError when the stream ends before the job.
    """
    last: JobEvent | None = None
    job = _Job(context)
    try:
        with job.interruptible():
            for event in events:
                if event.type == "job":
                    job.identity = event.id
                progress.feed(event)
                last = event
    finally:
        progress.close()
    if last is None or last.type != "end":
        raise ActionError("action-failed", "the job's stream ended before the job")
    return Finished(last, progress)


def conclude(context: Context, finished: Finished) -> int:
    """Exit code of a job that was not successful, with a word on what is done and what is not; else 0."""
    if finished.interrupted:
        report_interrupted(context, finished.progress)
        return 130
    error = finished.error()
    if error is not None:
        raise error
    return 0


def report_interrupted(context: Context, progress: Progress) -> None:
    done = [row.address for row in progress.rows.shown() if row.status == "done"]
    rest = [row.address for row in progress.rows.not_done()]
    context.console.note("Interrupted.")
    if done:
        context.console.note(f"  done:     {', '.join(done)}")
    if rest:
        context.console.note(f"  not done: {', '.join(rest)}")


class _Job:
    """What ctrl-C does. The handler does not raise at first: the stream of events must go on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._presses = 0
        self.identity = ""

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        previous = signal.signal(signal.SIGINT, self._pressed)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)

    def _pressed(self, number: int, frame: FrameType | None) -> None:
        self._presses += 1
        # Before the job has told its id, closing the connection interrupts it.
        if self._presses > 1 or not self.identity:
            raise Detached
        try:
            with self._context.fresh_client() as client:
                client.interrupt(self.identity)
        except StackfileError:
            # The daemon is gone or the job is over; the stream says which.
            pass
