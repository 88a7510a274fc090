"""The state of a job's resources, fed by its events; one row a resource, the replicas of a service in one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from stackfile.cli.output import addresses
from stackfile.model.event import JobEvent

LOG_LINES = 20
"""Last lines kept of what a resource said, shown when it failed."""

_DOING = {
    "create": "creating", "update": "updating", "restart": "restarting", "recreate": "recreating", "start": "starting",
    "stop": "stopping", "remove": "removing", "build": "building", "pull": "pulling", "generate": "generating",
    "kill": "killing", "rm": "removing",
}  # fmt: skip


@dataclass
class Row:
    """One resource. status: started, waiting, progress, done, failed, skipped."""

    base: str
    indices: set[int] = field(default_factory=set)
    status: str = ""
    word: str = ""
    detail: str = ""
    seconds: float = 0.0
    began_ns: int = 0
    error: dict[str, Any] | None = None
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    parts: dict[str, str] = field(default_factory=dict)
    """Status of each action on it by the action's id; "" while it has not begun."""

    @property
    def address(self) -> str:
        return addresses.join(self.base, self.indices)

    @property
    def finished(self) -> bool:
        return self.status in ("done", "failed", "skipped")


class Rows:
    """All rows of a job, in the order of its plan."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def plan(self, plan: dict[str, Any]) -> None:
        """Take order, actions and replicas from a plan (in JSON form)."""
        for action in plan.get("actions", ()):
            base = action["address"]
            row = self._rows.setdefault(base, Row(base))
            row.parts.setdefault(action["id"], "")
            row.indices.update(instance["index"] for instance in action.get("instances", ()))

    def action(self, event: JobEvent) -> Row:
        """Take an `action` event; the row that it is about."""
        base, index = addresses.split(event.address)
        row = self._rows.setdefault(base, Row(base))
        row.indices.update(addresses.indices(event.attributes.get("instances", "")), {index} if index else ())
        row.parts[event.id] = event.status
        row.status = _together(row)
        row.word = event.word or _word(event)
        row.detail = event.detail or event.message
        row.error = event.error or row.error
        row.began_ns = row.began_ns or event.time_ns
        elapsed = (event.time_ns - row.began_ns) / 1e9 if row.began_ns and event.time_ns else 0.0
        row.seconds = max(row.seconds, event.seconds, elapsed)
        return row

    def log(self, event: JobEvent) -> Row:
        """Take a `log` event."""
        base, _ = addresses.split(event.address)
        row = self._rows.setdefault(base, Row(base))
        row.log.append(printable(event.message.rstrip("\n")))
        return row

    def shown(self) -> list[Row]:
        """Rows on which something happened, in the plan's order."""
        return [row for row in self._rows.values() if row.status]

    @property
    def width(self) -> int:
        """Columns of the longest address, planned ones included."""
        return max((len(row.address) for row in self._rows.values()), default=0)


def _together(row: Row) -> str:
    """Status of all actions on a row: a failure shows at once, done only when all of them are."""
    statuses = list(row.parts.values())
    if "failed" in statuses:
        return "failed"
    if all(status in ("done", "skipped") for status in statuses):
        return "skipped" if "skipped" in statuses else "done"
    return next((status for status in ("progress", "waiting", "started") if status in statuses), "progress")


def _word(event: JobEvent) -> str:
    """The word while it is under way, or where the event has none of its own."""
    return event.status if event.status in ("failed", "skipped", "waiting") else _DOING.get(event.action, "")


def printable(text: str) -> str:
    """`text` without control characters, which would move the cursor about."""
    return "".join(letter for letter in text.expandtabs() if letter.isprintable())
