"""Health checks and their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.daemon.dockerjson import times, values
from stackfile.model.container import Health
from stackfile.model.stack import Healthcheck


def decode(value: Mapping[str, Any] | None) -> Healthcheck | None:
    """Config.Healthcheck; an empty test inherits the image's, zero durations are the defaults."""
    if not value:
        return None
    test = values.texts(value, "Test")
    if not test:
        return None
    default = Healthcheck(test=test)
    return Healthcheck(
        test=test,
        interval=values.number(value, "Interval") or default.interval,
        timeout=values.number(value, "Timeout") or default.timeout,
        retries=values.number(value, "Retries") or default.retries,
        start_period=values.number(value, "StartPeriod"),
        start_interval=values.number(value, "StartInterval") or default.start_interval,
    )


def encode(check: Healthcheck) -> dict[str, Any]:
    """Config.Healthcheck."""
    if check.test[:1] == ("NONE",):
        return {"Test": ["NONE"]}
    default = Healthcheck(test=check.test)
    numbers = {
        "Interval": (check.interval, default.interval),
        "Timeout": (check.timeout, default.timeout),
        "StartPeriod": (check.start_period, default.start_period),
        "Retries": (check.retries, default.retries),
    }
    # What is the default is left out, as where nothing was said.
    return {"Test": list(check.test)} | {key: value for key, (value, usual) in numbers.items() if value != usual}


def state(health: Health) -> dict[str, Any]:
    """State.Health."""
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": times.or_zero(entry.start),
                "End": times.or_zero(entry.end),
                "ExitCode": entry.exit_code,
                "Output": entry.output,
            }
            for entry in health.log
        ],
    }
