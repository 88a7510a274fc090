"""A job that prepares something else: its progress goes to stderr, since stdout belongs to what comes after."""

from __future__ import annotations

from collections.abc import Iterator

from stackfile.cli.context import Context
from stackfile.cli.jobs import conclude
from stackfile.cli.jobs import follow as follow_job
from stackfile.cli.output import progress
from stackfile.errors import ActionError
from stackfile.model.event import JobEvent


def follow(context: Context, events: Iterator[JobEvent]) -> None:
    """Until its end. Raises what failed, ActionError (`cancelled`) after an interrupt."""
    console = context.console.aside()
    shown = progress.make(console, transient=True) if console.mode == "tty" else progress.Progress(console)
    if conclude(context, follow_job(context, events, shown)):
        raise ActionError("cancelled", "interrupted")
