"""What is wrong with one of the engine's processes, in words."""

from __future__ import annotations

from stackfile.kernel.process import state
from stackfile.supervisor.protocol import ProcessStatus

CRASHES = 2
"""Ends in a row, each soon after the start, that make a crash loop."""


def condition(row: ProcessStatus) -> str:
    """`running`, `stopped` (by a signal or debugger), `crash loop`, or `away` (it ended, and is started again)."""
    if row.pid and state(row.pid) in ("T", "t"):
        return "stopped"
    if row.failures >= CRASHES:
        return "crash loop"
    return "running" if row.pid else "away"


def complaint(row: ProcessStatus) -> str:
    """What is wrong with it; "" for one that runs."""
    found = condition(row)
    if found == "stopped":
        return f"the {row.name} is stopped (pid {row.pid})"
    if found == "crash loop":
        return f"the {row.name} ended {row.failures} times in a row, the last time with {row.last_end or 'no process'}"
    return f"the {row.name} is away" if found == "away" else ""
