"""Restart policies as decisions: pure."""

from __future__ import annotations

from stackfile.model.stack import RestartPolicy

FIRST_DELAY = 0.1
LONGEST_DELAY = 60.0
STEADY = 10.0
"""Seconds; who ran this long starts over with the shortest delay (as Docker)."""


def wants_restart(policy: RestartPolicy, *, exit_code: int, count: int, stop_requested: bool) -> bool:
    """Whether a container that just ended is started again. `count` is how often it was already."""
    if stop_requested or policy.name in ("", "no"):
        return False
    if policy.name == "on-failure":
        return exit_code != 0 and (policy.max_retries == 0 or count < policy.max_retries)
    return True


def next_delay(previous: float, uptime: float) -> float:
    """Seconds to wait before the next start. `previous` is the last delay, 0 before the first."""
    if not previous or uptime >= STEADY:
        return FIRST_DELAY
    return min(previous * 2, LONGEST_DELAY)


def survives_reboot(policy: RestartPolicy, *, exit_code: int, desired_running: bool) -> bool:
    """Whether a container starts again when the machine does: `always` even if it was stopped, as Docker."""
    if policy.name == "always":
        return True
    if policy.name == "unless-stopped":
        return desired_running
    return policy.name == "on-failure" and desired_running and exit_code != 0
