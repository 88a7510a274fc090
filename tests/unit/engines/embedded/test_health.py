"""The health state machine, with a clock of the test's."""

from __future__ import annotations

import pytest

from stackfile.engines.embedded.health import Machine, argv, effective
from stackfile.model.container import HealthLogEntry
from stackfile.model.stack import SECOND, Healthcheck

CHECK = Healthcheck(test=("CMD", "true"), interval=2 * SECOND, timeout=SECOND, retries=3)


def result(code: int) -> HealthLogEntry:
    return HealthLogEntry(start="", end="", exit_code=code, output="")


def test_probes_are_quick_until_the_first_success() -> None:
    machine = Machine(CHECK, started=100.0)
    delays = []
    now = 100.0
    for _ in range(5):
        assert not machine.observe(result(1), now)
        delays.append(machine.delay(now))
        now += delays[-1]
    assert delays == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8])
    assert machine.health.failing_streak == 0
    assert machine.observe(result(0), now)
    assert machine.health.status == "healthy"
    assert machine.delay(now) == 2.0


def test_failures_count_once_the_interval_has_passed() -> None:
    machine = Machine(CHECK, started=0.0)
    changes = [machine.observe(result(1), now) for now in (1.9, 2.0, 4.0, 6.0)]
    assert changes == [False, False, False, True]
    assert (machine.health.status, machine.health.failing_streak) == ("unhealthy", 3)


def test_failures_in_the_start_period_do_not_count() -> None:
    check = Healthcheck(test=("CMD", "true"), interval=SECOND, start_period=30 * SECOND, retries=1)
    machine = Machine(check, started=0.0)
    assert not machine.observe(result(1), 29.0)
    assert machine.health.status == "starting"
    assert machine.delay(29.0) <= 1.0
    assert machine.observe(result(1), 30.5)
    assert machine.health.status == "unhealthy"


def test_it_recovers_and_falls_again() -> None:
    machine = Machine(CHECK, started=0.0)
    statuses = []
    for now, code in enumerate((0, 1, 1, 0, 1, 1, 1, 0)):
        machine.observe(result(code), 10.0 + now)
        statuses.append(machine.health.status)
    assert statuses == ["healthy"] * 6 + ["unhealthy", "healthy"]


def test_the_last_five_results_are_kept() -> None:
    machine = Machine(CHECK, started=0.0)
    for code in range(9):
        machine.observe(result(code), 1.0)
    assert [entry.exit_code for entry in machine.health.log] == [4, 5, 6, 7, 8]


def test_which_check_counts() -> None:
    own = Healthcheck(test=("CMD", "own"))
    image = Healthcheck(test=("CMD", "image"))
    assert effective(None, None) is None
    assert effective(None, image) == image
    assert effective(own, image) == own
    assert effective(Healthcheck(test=("NONE",)), image) is None


def test_command_of_a_probe() -> None:
    shell = Healthcheck(test=("CMD-SHELL", "exit 1"))
    assert argv(shell, ()) == ("/bin/sh", "-c", "exit 1")
    assert argv(shell, ("/bin/ash", "-ec")) == ("/bin/ash", "-ec", "exit 1")
    assert argv(CHECK, ()) == ("true",)
