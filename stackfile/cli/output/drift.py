"""Drift for a person: mark, address, fact, from → to, where it was read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from stackfile.cli.output import addresses
from stackfile.cli.output.console import Console
from stackfile.model.observed import Drift, Project

_CGROUPS = "/sys/fs/cgroup/"
_HEX, _SHOWN = 64, 12


def render(project: Project, found: Sequence[Drift], console: Console) -> str:
    """A line each and a summary; one line where there is none."""
    if not found:
        return f"{project.name} is as it was applied."
    rows = [_row(project, item) for item in found]
    widths = [max(len(row[column]) for row in rows) for column in range(1, 4)]
    lines = []
    for row, item in zip(rows, found, strict=True):
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row[1:4], widths, strict=True))
        lines.append(f" {console.paint(f'{row[0]:<3}', _style(item))} {cells}  {row[4]}")
    number = len({(item.address, item.index) for item in found})
    summary = (
        f"{addresses.count(number, 'resource')} drifted. `stackfile up` repairs {'it' if number == 1 else 'them'}."
    )
    return "\n".join([line.rstrip() for line in lines] + [summary])


def _row(project: Project, item: Drift) -> tuple[str, str, str, str, str]:
    service = project.stack.services.get(addresses.name(item.address)) if project.stack else None
    several = service is not None and service.replicas > 1
    address = f"{item.address}[{item.index}]" if several and item.index else item.address
    if item.field == "missing":
        return "+", address, "missing", item.expected, item.place
    if item.field == "running":
        return ">", address, "not running", f"{item.actual}{_at(item.since)}", item.place
    return "~", address, _fact(item), f"{item.expected or '(none)'} → {item.actual or '(none)'}", _place(item.place)


def _style(item: Drift) -> str:
    return {"missing": "green", "running": "cyan"}.get(item.field, "yellow")


def _fact(item: Drift) -> str:
    """The kernel's own name for a limit: that of its file."""
    return item.place.rpartition("/")[2] if item.place.startswith(_CGROUPS) else item.field


def _place(place: str) -> str:
    parts = (part[:_SHOWN] + "…" if len(part) == _HEX and part.isalnum() else part for part in place.split("/"))
    return "/".join(parts)


def _at(since: str) -> str:
    """` at 14:03:11`, in the time zone of the reader."""
    try:
        moment = datetime.fromisoformat(since[:19] + "+00:00")
    except ValueError:
        return ""
    return f" at {moment.astimezone():%H:%M:%S}"
