"""What the engine's processes take, sampled when nothing goes on, and whether that stays."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import median

from stackfile.supervisor.client import Supervisor
from tests import leaks
from tests.conftest import Box

WARM_UP = 0.25
"""Part of the samples that is not looked at: pools, caches and heaps fill at first."""
ALLOWED = {"RSS": (1024, 4096), "PSS": (1024, 4096), "fds": (2, 2), "threads": (1, 0), "count": (6, 0), "rows": (6, 6)}
"""By kind (memory in KiB): what samples may differ by for no reason, and growth in an hour, at most.

Memory differs by a heap's arenas and pages of a database; counts by what is kept in stock for the next containers.
"""
OF_A_PROCESS = ("RSS", "PSS", "fds", "threads")
"""Kinds of quantities that there are of each of our processes."""
CAPS = {
    "size state.db": 24 * 1024, "size run.db": 12 * 1024, "size logs of ours": 2 * 1024,
    "rows events": 10_500, "rows build_cache": 1000,
}  # fmt: skip
"""What grows up to a size and not beyond: databases with their journals and our own logs (KiB), old rows."""


@dataclass
class Series:
    """Samples of one quantity: (hours since the begin, value)."""

    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def late(self) -> list[tuple[float, float]]:
        """Without those of the warm-up."""
        return self.points[int(len(self.points) * WARM_UP) :]

    @property
    def middle(self) -> float:
        """The median of all samples."""
        return median(value for _, value in self.points)

    @property
    def slope(self) -> float:
        """Growth an hour, by Theil and Sen: the median of the slopes between all pairs, which outliers do not move."""
        return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(self.late, 2)) if len(self.late) > 1 else 0

    @property
    def growth(self) -> float:
        """What the slope amounts to over the time that was looked at."""
        return self.slope * (self.late[-1][0] - self.late[0][0]) if self.late else 0


def processes(box: Box) -> dict[str, int]:
    """The long-lived processes by name: the supervisor, and those that it started or took over."""
    with contextlib.closing(Supervisor(f"{box.settings.run}/supervisor.sock")) as supervisor:
        return {name: status.pid for name, status in supervisor.status().items()}


def sample(box: Box) -> dict[str, float]:
    """Quantities by name. Of each process `RSS NAME`, `PSS NAME` (KiB), `fds NAME`, `threads NAME`; of the engine
    `count …`, `rows TABLE` and `size …` (KiB).
    """
    found: dict[str, float] = {}
    for name, pid in processes(box).items():
        memory = _fields(f"/proc/{pid}/smaps_rollup")
        found[f"RSS {name}"] = int(memory["Rss"].split()[0])
        found[f"PSS {name}"] = int(memory["Pss"].split()[0])
        found[f"fds {name}"] = len(os.listdir(f"/proc/{pid}/fd"))
        found[f"threads {name}"] = int(_fields(f"/proc/{pid}/status")["Threads"])
    return found | _counts(box) | _rows(box) | _sizes(box)


def _counts(box: Box) -> dict[str, float]:
    """What the engine has in the kernel and in its roots, with all its processes and those of its containers."""
    lists = leaks.marked(box.settings)
    pids = leaks.descendants(processes(box).values())
    return {
        "count processes": len(pids),
        "count networks (ns)": len(set(_net_namespaces(pids))),
        **{f"count {kind}": lists[kind].total() for kind in ("links", "mounts", "nft", "cgroups")},
        "count files in the run root": sum(1 for _ in _walk(box.settings.run)),
        "count directories of containers": len(os.listdir(f"{box.settings.root}/containers")),
    }


def _net_namespaces(pids: Iterable[int]) -> Iterator[str]:
    """Of processes, and of descriptors that hold one."""
    for pid in pids:
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{pid}/ns/net")
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{pid}/fd/{fd}")
                    if target.startswith("net:["):
                        yield target


def _rows(box: Box) -> dict[str, float]:
    """Rows of every table."""
    found: dict[str, float] = {}
    for path in (f"{box.settings.root}/state.db", f"{box.settings.run}/run.db"):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
            for (table,) in tables.fetchall():
                if table != "meta":
                    found[f"rows {table}"] = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


def _sizes(box: Box) -> dict[str, float]:
    root, run = box.settings.root, box.settings.run
    return {
        "size state.db": _size([f"{root}/state.db", f"{root}/state.db-wal"]),
        "size run.db": _size([f"{run}/run.db", f"{run}/run.db-wal"]),
        "size logs of ours": _size(map(str, Path(run).glob("*.log"))),
        "size images": _size([*_walk(f"{root}/layers"), *_walk(f"{root}/blobs")]),
    }


def _fields(path: str) -> dict[str, str]:
    return dict(row.split(":", 1) for row in Path(path).read_text().splitlines() if ":" in row)


def _size(paths: Iterable[str]) -> float:
    total = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            total += os.stat(path).st_size
    return total / 1024


def _walk(root: str) -> Iterator[str]:
    return (os.path.join(directory, name) for directory, _, names in os.walk(root) for name in names)


def table(series: dict[str, Series]) -> str:
    """The figures: first, median and last sample, and the growth an hour by all of them after the warm-up."""
    lines = [f"{'':32}{'first':>10}{'median':>10}{'last':>10}{'an hour':>10}"]
    for name, item in sorted(series.items()):
        first, last = item.points[0][1], item.points[-1][1]
        lines.append(f"{name:32}{first:10.0f}{item.middle:10.0f}{last:10.0f}{item.slope:+10.1f}")
    return "\n".join(lines)


def not_flat(quantity: str, series: Series) -> str:
    """Why a quantity is not flat; "" when it is."""
    if quantity in CAPS:
        largest = max(value for _, value in series.points)
        return f"{quantity}: {largest:.0f}, allowed are {CAPS[quantity]}" if largest > CAPS[quantity] else ""
    if len(series.late) < 4:
        return ""
    hours = series.late[-1][0] - series.late[0][0]
    noise, hourly = ALLOWED.get(quantity.partition(" ")[0], (1024, 4096))
    allowed = noise + hourly * hours
    if series.growth <= allowed:
        return ""
    return f"{quantity} grows: {series.growth:.1f} in {hours * 60:.0f} minutes, allowed are {allowed:.1f}"
