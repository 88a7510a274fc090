"""What the engine's processes take, sampled when nothing goes on, and whether that stays."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from statistics import median

from tests import leaks
from tests.conftest import Box

WARM_UP = 0.25
"""Part of the samples that is not looked at: pools, caches and heaps fill at first."""
MEMORY_PER_HOUR = 4 * 1024
"""KiB by which a process may grow in an hour, at most; and what a process of some size may vary is added."""
NOISE = 1024
"""KiB of memory between samples that say nothing: a heap's arenas, pages of a database."""
CAPS = {"state.db": 24 * 1024, "run.db": 12 * 1024, "logs of ours": 2 * 1024}
"""KiB that a database with its journal, which both stop growing at some size, and our own logs may have at most."""
FDS = 2
"""Descriptors that may come and go: a connection that has not yet ended, a database's journal."""


@dataclass
class Series:
    """Samples of one quantity: (hours since the begin, value)."""

    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def late(self) -> list[tuple[float, float]]:
        """Without those of the warm-up."""
        return self.points[int(len(self.points) * WARM_UP) :]

    @property
    def slope(self) -> float:
        """Growth an hour, by Theil and Sen: the median of the slopes between all pairs, which outliers do not move."""
        return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(self.late, 2)) if len(self.late) > 1 else 0

    @property
    def growth(self) -> float:
        """What the slope amounts to over the time that was looked at."""
        return self.slope * (self.late[-1][0] - self.late[0][0]) if self.late else 0


def processes(box: Box) -> dict[str, int]:
    """The long-lived processes by name: the supervisor and its children of ours."""
    found = {"supervisor": box.supervisor}
    for pid in leaks.descendants([box.supervisor]):
        with contextlib.suppress(OSError, IndexError):
            parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            names = leaks.commands([pid])
            if parent == box.supervisor and names and names[0].startswith("stackfile."):
                found[names[0].removeprefix("stackfile.").removeprefix("runtime.")] = pid
    return found


def sample(box: Box) -> dict[str, float]:
    """`RSS PROCESS` and `PSS PROCESS` in KiB, `fds PROCESS`, and sizes of databases and logs in KiB."""
    found: dict[str, float] = {}
    for name, pid in processes(box).items():
        rows = dict(
            row.split(":", 1) for row in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:] if ":" in row
        )
        found[f"RSS {name}"] = int(rows["Rss"].split()[0])
        found[f"PSS {name}"] = int(rows["Pss"].split()[0])
        found[f"fds {name}"] = len(os.listdir(f"/proc/{pid}/fd"))
    found["size state.db"] = _size([f"{box.settings.root}/state.db", f"{box.settings.root}/state.db-wal"])
    found["size run.db"] = _size([f"{box.settings.run}/run.db", f"{box.settings.run}/run.db-wal"])
    found["size logs of ours"] = _size(map(str, Path(box.settings.run).glob("*.log")))
    found["size images"] = _tree(f"{box.settings.root}/layers") + _tree(f"{box.settings.root}/blobs")
    return found


def _size(paths: object) -> float:
    total = 0
    for path in paths:  # type: ignore[attr-defined]
        with contextlib.suppress(FileNotFoundError):
            total += os.stat(path).st_size
    return total / 1024


def _tree(root: str) -> float:
    return _size(os.path.join(directory, name) for directory, _, names in os.walk(root) for name in names)


def not_flat(quantity: str, series: Series) -> str:
    """Why a quantity is not flat; "" when it is."""
    kind, _, name = quantity.partition(" ")
    if name in CAPS:
        largest = max(value for _, value in series.points)
        return f"{quantity}: {largest:.0f} KiB, allowed are {CAPS[name]}" if largest > CAPS[name] else ""
    if len(series.late) < 4:
        return ""
    hours = series.late[-1][0] - series.late[0][0]
    allowed = FDS if kind == "fds" else NOISE + MEMORY_PER_HOUR * hours
    if series.growth <= allowed:
        return ""
    unit = "" if kind == "fds" else " KiB"
    return f"{quantity} grows: {series.growth:.0f}{unit} in {hours * 60:.0f} minutes, allowed are {allowed:.0f}"
