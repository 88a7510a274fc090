"""Follows a job in the foreground: progress, ctrl-C, and how it ended."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

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

    @property
    def result(self) -> dict[str, Any]:
        """What the job has to tell: counts, addresses."""
        return self.end.result or {}

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
    """0 after success; 130 after an interrupt, with what is done and what is not. Raises the error of a failure."""
    if finished.interrupted:
        _report_interrupted(context, finished.result)
        return 130
    error = finished.error()
    if error is not None:
        raise error
    return 0


def _report_interrupted(context: Context, result: dict[str, Any]) -> None:
    note = context.console.note
    note("Interrupted.")
    if done := result.get("done"):
        note(f"  done:     {', '.join(done)}")
    if rest := [*result.get("failed", ()), *result.get("not_done", ())]:
        note(f"  not done: {', '.join(rest)}")


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
