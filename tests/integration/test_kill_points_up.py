"""The engine's processes ended in the midst of an `up`: the next one converges, and nothing is left over.

`KILL_SEED` chooses the points and moments; without it the points are the same every time, the moments are not.
"""

from __future__ import annotations

import pytest

from tests.kill.points import UP, Kills, kills, moment_seed, point_seed

__all__ = ["kills"]
pytestmark = pytest.mark.root


@pytest.mark.parametrize(("victim", "count"), [("daemon", 4), ("shim", 3), ("worker", 2), ("supervisor", 1)])
def test_up_at_points(kills: Kills, victim: str, count: int) -> None:
    kills.sample(victim, UP, count, point_seed())


@pytest.mark.parametrize("number", range(2))
def test_up_at_a_random_moment(kills: Kills, number: int) -> None:
    kills.moment(UP, f"{moment_seed()}.{number}")
