"""Restart policies."""

from __future__ import annotations

import pytest

from stackfile.engines.embedded.restarts import next_delay, survives_reboot, wants_restart
from stackfile.model.stack import RestartPolicy


@pytest.mark.parametrize(
    ("name", "retries", "code", "count", "stopped", "expected"),
    [
        ("no", 0, 1, 0, False, False),
        ("always", 0, 0, 99, False, True),
        ("always", 0, 0, 0, True, False),
        ("unless-stopped", 0, 137, 5, False, True),
        ("on-failure", 0, 0, 0, False, False),
        ("on-failure", 0, 1, 50, False, True),
        ("on-failure", 3, 1, 2, False, True),
        ("on-failure", 3, 1, 3, False, False),
    ],
)
def test_wants_restart(name: str, retries: int, code: int, count: int, stopped: bool, expected: bool) -> None:
    policy = RestartPolicy(name=name, max_retries=retries)
    assert wants_restart(policy, exit_code=code, count=count, stop_requested=stopped) is expected


def test_delays_double_up_to_a_minute() -> None:
    delays, delay = [], 0.0
    for _ in range(12):
        delay = next_delay(delay, uptime=0.0)
        delays.append(delay)
    assert delays[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert delays[-1] == 60.0


def test_a_steady_run_resets_the_delay() -> None:
    assert next_delay(12.8, uptime=9.9) == pytest.approx(25.6)
    assert next_delay(12.8, uptime=10.0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "code", "desired", "expected"),
    [
        ("always", 0, False, True),
        ("unless-stopped", 0, True, True),
        ("unless-stopped", 0, False, False),
        ("on-failure", 255, True, True),
        ("on-failure", 0, True, False),
        ("no", 255, True, False),
    ],
)
def test_survives_reboot(name: str, code: int, desired: bool, expected: bool) -> None:
    assert survives_reboot(RestartPolicy(name=name), exit_code=code, desired_running=desired) is expected
