"""What was done to a resource last, as far as the daemon remembers its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stackfile import wire
from stackfile.model.plan import Action, Plan

if TYPE_CHECKING:
    from stackfile.api.client import Client

_CHANGING = ("up", "apply")
_ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastChange:
    """An action that was done: the kind of its job, when it was done (nanoseconds since the epoch), and what it was."""

    job: str
    time_ns: int
    action: Action


def last_change(client: Client, project: str, address: str) -> LastChange | None:
    """The last action on `address` that was done; None when no job that is remembered did something to it."""
    for job in reversed(client.jobs()):
        if job.project != project or job.kind not in _CHANGING or job.status not in _ENDED:
            continue
        events = list(client.job_events(job.id))
        times = {event.id: event.time_ns for event in events if event.type == "action" and event.status == "done"}
        planned = next((event.plan for event in events if event.type == "plan"), None)
        actions = wire.from_plain(planned, Plan).actions if planned else ()
        found = [action for action in actions if action.address == address and action.id in times]
        if found:
            return LastChange(job=job.kind, time_ns=times[found[-1].id], action=found[-1])
    return None
