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
    parts: dict[int, str] = field(default_factory=dict)
    """Status of each replica that reported for itself."""

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
        self._planned: list[str] = []

    def plan(self, plan: dict[str, Any]) -> None:
        """Take order and replicas from a plan (in JSON form)."""
        for action in plan.get("actions", ()):
            base = action["address"]
            if base not in self._rows:
                self._planned.append(base)
            row = self._rows.setdefault(base, Row(base))
            row.indices.update(instance["index"] for instance in action.get("instances", ()))

    def action(self, event: JobEvent) -> Row:
        """Take an `action` event; the row that it is about."""
        base, index = addresses.split(event.address)
        row = self._rows.setdefault(base, Row(base))
        if index:
            row.indices.add(index)
            row.parts[index] = event.status
        row.status = _together(row, event.status)
        row.word = event.word or (row.word if event.status != "started" else "") or _DOING.get(event.action, "")
        row.detail = event.detail or row.detail
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

    def not_done(self) -> list[Row]:
        """Planned rows that nobody started or finished."""
        return [self._rows[base] for base in self._planned if self._rows[base].status not in ("done", "failed")]

    @property
    def width(self) -> int:
        """Columns of the longest address, planned ones included."""
        return max((len(row.address) for row in self._rows.values()), default=0)


def _together(row: Row, latest: str) -> str:
    """Status of all replicas together: a failure shows at once, done only when all that began are done."""
    if not row.parts:
        return latest
    statuses = set(row.parts.values())
    if "failed" in statuses:
        return "failed"
    if statuses <= {"done", "skipped"} and set(row.parts) >= row.indices:
        return latest
    return next((status for status in ("progress", "waiting", "started") if status in statuses), "progress")


def printable(text: str) -> str:
    """`text` without control characters, which would move the cursor about."""
    return "".join(letter for letter in text.expandtabs() if letter.isprintable())
