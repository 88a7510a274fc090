"""Timing whole processes, ours and the peer's turn by turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One comparison. Times in milliseconds."""

    name: str
    ours: list[float]
    peer: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.peer)

    def plain(self) -> dict[str, object]:
        return {"name": self.name, "ours": self.ours, "peer": self.peer, "ratio": self.ratio}

    def __str__(self) -> str:
        def pair(times: list[float]) -> str:
            return f"{min(times):.0f} / {statistics.median(times):.0f}"

        return f"{self.name:38} {pair(self.ours):>17} {pair(self.peer):>17}   {self.ratio:.2f} (1/{1 / self.ratio:.1f})"


def timed(call: Callable[[], object]) -> float:
    """Milliseconds that `call` takes."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def compare(name: str, ours: Callable[[], object], peer: Callable[[], object], *, repeat: int, warm: int = 1) -> Result:
    """Time both `repeat` times, in turn, after `warm` runs that do not count."""
    mine, theirs = [], []
    for number in range(warm + repeat):
        times = timed(ours), timed(peer)
        if number >= warm:
            mine.append(times[0])
            theirs.append(times[1])
    return Result(name, mine, theirs)
