"""`system df`: how much room things take."""

from __future__ import annotations

from typing import Any

from stackfile.cli.arguments import Arguments, Verb
from stackfile.cli.context import Context
from stackfile.cli.output import table, units


def register() -> Verb:
    return Verb(
        name="system df",
        summary="Room that images, containers and volumes take, and how much of it a prune would free",
        run=run,
        text="JSON: a list of {kind, count, active, bytes, reclaimable}.",
    )


def run(context: Context, arguments: Arguments) -> int:
    usage = context.client().docker("GET", "system", "df")
    rows = [_images(usage), _containers(usage), _volumes(usage)]
    console = context.console
    if console.json:
        console.document(rows)
        return 0
    cells = [
        (row["kind"], str(row["count"]), str(row["active"]), units.size(row["bytes"]), units.size(row["reclaimable"]))
        for row in rows
    ]
    console.print(table.render(("", "COUNT", "IN USE", "SIZE", "UNUSED"), cells, frozenset({1, 2, 3, 4})))
    return 0


def _row(kind: str, count: int, active: int, size: int, reclaimable: int) -> dict[str, Any]:
    return {"kind": kind, "count": count, "active": active, "bytes": size, "reclaimable": reclaimable}


def _images(usage: dict[str, Any]) -> dict[str, Any]:
    images = usage["Images"] or []
    idle = [item for item in images if not item["Containers"]]
    own = sum(item["Size"] - max(0, item["SharedSize"]) for item in idle)
    return _row("images", len(images), len(images) - len(idle), usage["LayersSize"], own)


def _containers(usage: dict[str, Any]) -> dict[str, Any]:
    containers = usage["Containers"] or []
    running = [item for item in containers if item["State"] in ("running", "paused", "restarting")]
    total = sum(item.get("SizeRw", 0) for item in containers)
    idle = total - sum(item.get("SizeRw", 0) for item in running)
    return _row("containers", len(containers), len(running), total, idle)


def _volumes(usage: dict[str, Any]) -> dict[str, Any]:
    volumes = [item["UsageData"] for item in usage["Volumes"] or []]
    used = [item for item in volumes if item["RefCount"]]
    total = sum(item["Size"] for item in volumes)
    return _row("volumes", len(volumes), len(used), total, total - sum(item["Size"] for item in used))
