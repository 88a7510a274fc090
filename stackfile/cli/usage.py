"""How much containers use: the rows of `stats` and `container stats`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stackfile.cli.arguments import Arguments, option
from stackfile.cli.context import Context
from stackfile.cli.output import table, units
from stackfile.cli.output.containers import short_name
from stackfile.cli.output.frame import Frame
from stackfile.errors import StackfileError
from stackfile.model.container import ContainerRecord

OPTIONS = (
    option("--no-stream", "one sample only (the default where stdout is no terminal)", negates="stream"),
    option("--interval", "seconds between samples (1)", "N"),
)
HEADER = ("NAME", "CPU", "MEMORY", "OF", "NET IN / OUT", "DISK IN / OUT", "PROCESSES")
_RIGHT = frozenset({1, 2, 3, 6})
_PARALLEL = 16

Records = Callable[[], Sequence[ContainerRecord]]


def show(context: Context, arguments: Arguments, records: Records) -> int:
    """A table that is rewritten on a terminal until ctrl-C; elsewhere one sample, with --stream one after another."""
    console = context.console
    pause = arguments.integer("interval") or 1
    live = console.mode == "tty"
    frame = Frame(console) if live and arguments.flag("stream", True) else None
    stream = arguments.flag("stream", live)
    before = _samples(context, records())
    try:
        while True:
            time.sleep(pause)
            found = records()
            now = _samples(context, found)
            rows = [_plain(record, before.get(record.id), now[record.id]) for record in found if record.id in now]
            _print(context, rows, frame, stream)
            if not stream:
                return 0
            before = now
    except KeyboardInterrupt:
        return 0


def _samples(context: Context, records: Sequence[ContainerRecord]) -> dict[str, dict[str, Any]]:
    """A sample of each container that runs, all at about the same time."""
    running = [record for record in records if record.state.status in ("running", "paused")]

    def sample(record: ContainerRecord) -> tuple[str, dict[str, Any] | None]:
        try:
            with context.fresh_client() as client:
                query: dict[str, object] = {"stream": False, "one-shot": True}
                return record.id, client.docker("GET", "containers", record.id, "stats", **query)
        except StackfileError:
            # It has ended meanwhile.
            return record.id, None

    if not running:
        return {}
    with ThreadPoolExecutor(min(_PARALLEL, len(running))) as pool:
        return {identity: found for identity, found in pool.map(sample, running) if found is not None}


def _plain(record: ContainerRecord, before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    memory = now["memory_stats"]
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    io = now["blkio_stats"]["io_service_bytes_recursive"] or []
    networks = (now.get("networks") or {}).values()
    return {
        "id": record.id,
        "name": short_name(record),
        "cpu_percent": round(_cpu(before, now), 2),
        "memory": max(0, memory.get("usage", 0) - cache),
        "memory_limit": record.spec.resources.memory,
        "rx_bytes": sum(item["rx_bytes"] for item in networks),
        "tx_bytes": sum(item["tx_bytes"] for item in networks),
        "read_bytes": sum(item["value"] for item in io if item["op"] == "Read"),
        "write_bytes": sum(item["value"] for item in io if item["op"] == "Write"),
        "processes": now["pids_stats"].get("current", 0),
    }


def _cpu(before: dict[str, Any] | None, now: dict[str, Any]) -> float:
    """Percent of one CPU, as docker counts."""
    if before is None:
        return 0.0
    used = now["cpu_stats"]["cpu_usage"]["total_usage"] - before["cpu_stats"]["cpu_usage"]["total_usage"]
    passed = now["cpu_stats"]["system_cpu_usage"] - before["cpu_stats"]["system_cpu_usage"]
    return used / passed * now["cpu_stats"]["online_cpus"] * 100 if passed > 0 and used > 0 else 0.0


def _print(context: Context, rows: list[dict[str, Any]], frame: Frame | None, stream: bool) -> None:
    console = context.console
    if console.json:
        if stream:
            console.line(rows)
        else:
            console.document(rows)
        return
    text = table.render(HEADER, [_row(row) for row in rows], _RIGHT)
    if frame is not None:
        frame.draw([], text.split("\n"))
    else:
        console.print(text)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        f"{row['cpu_percent']:.1f} %",
        units.size(row["memory"]),
        units.size(row["memory_limit"]) if row["memory_limit"] else "",
        f"{units.size(row['rx_bytes'])} / {units.size(row['tx_bytes'])}",
        f"{units.size(row['read_bytes'])} / {units.size(row['write_bytes'])}",
        str(row["processes"]),
    )
