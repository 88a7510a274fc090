"""Health as a state machine with an injected clock: pure. Times are seconds of any monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stackfile.model.container import Health, HealthLogEntry
from stackfile.model.stack import SECOND, Healthcheck

KEPT = 5
OUTPUT = 4096
"""Bytes of a probe's output that are kept."""
_FIRST_DELAY = 0.05


def effective(spec: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    """The health check that counts: the spec's, else the image's; None where it is ("NONE",) or empty."""
    check = spec or image
    if check is None or not check.test or check.test[0] == "NONE":
        return None
    return check


def argv(check: Healthcheck, shell: tuple[str, ...]) -> tuple[str, ...]:
    """The command of a probe; `shell` is the image's, for CMD-SHELL."""
    if check.test[0] == "CMD-SHELL":
        return (*(shell or ("/bin/sh", "-c")), *check.test[1:])
    return check.test[1:] if check.test[0] == "CMD" else check.test


@dataclass(slots=True)
class Machine:
    """Health of one running container.

    The first probe comes at once and then quickly (50 ms, doubling up to the interval) until the first success; until
    the start period (at least one interval) has passed, failures do not count, as no probe of Docker's would have
    come by then. Afterwards one probe an interval.
    """

    check: Healthcheck
    started: float
    health: Health = Health(status="starting")
    _delay: float = _FIRST_DELAY

    @property
    def timeout(self) -> float:
        """Seconds that a probe may take."""
        return (self.check.timeout or 30 * SECOND) / SECOND

    @property
    def interval(self) -> float:
        return (self.check.interval or 30 * SECOND) / SECOND

    def observe(self, entry: HealthLogEntry, now: float) -> bool:
        """Take the result of a probe; True when the status changed."""
        before = self.health.status
        status, streak = before, 0
        if entry.exit_code == 0:
            status = "healthy"
        elif before == "starting" and now - self.started < self._grace:
            streak = self.health.failing_streak
        else:
            streak = self.health.failing_streak + 1
            if streak >= (self.check.retries or 3):
                status = "unhealthy"
        self.health = replace(self.health, status=status, failing_streak=streak, log=(*self.health.log, entry)[-KEPT:])
        return status != before

    def delay(self, now: float) -> float:
        """Seconds until the next probe."""
        if self.health.status != "starting" or now - self.started >= self._grace:
            return self.interval
        delay = min(self._delay, self.interval)
        self._delay = delay * 2
        return delay

    @property
    def _grace(self) -> float:
        return max(self.check.start_period / SECOND, self.interval)
