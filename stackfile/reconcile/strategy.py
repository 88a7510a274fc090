"""Which way a change is applied, and which of several ways wins. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NONE, RECORD, SIGNAL, IN_PLACE, DROP, RESTART, RECREATE = (
    "none",
    "record",
    "signal",
    "in-place",
    "drop-connections",
    "restart",
    "recreate",
)
ORDER = (NONE, RECORD, SIGNAL, IN_PLACE, DROP, RESTART, RECREATE)
"""From the least to the most disturbing."""

ON_CHANGE = "on_change"


def strategy(table: Mapping[str, str], path: str, on_change: str = RESTART) -> tuple[str, str]:
    """(strategy, signal) of a change at `path` (`networks/ipv4`): the longest key of `table` that fits decides."""
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        found = table.get("/".join(parts[:length]))
        if found == ON_CHANGE:
            return on_change_strategy(on_change)
        if found is not None:
            return found, ""
    return RECREATE, ""


def on_change_strategy(on_change: str) -> tuple[str, str]:
    """(strategy, signal) of `on_change`: restart, recreate, none, or a signal's name."""
    if on_change in (RESTART, RECREATE, NONE):
        return on_change, ""
    return SIGNAL, on_change


def strongest(strategies: Iterable[str]) -> str:
    """The strategy that covers all of them; `none` for none."""
    return max(strategies, key=ORDER.index, default=NONE)
