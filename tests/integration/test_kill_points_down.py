"""The engine's processes ended in the midst of a `down`: the next `up` converges, and nothing is left over.

Seeds: as in test_kill_points_up.py.
"""

from __future__ import annotations

import pytest

from tests.kill.points import DOWN, Kills, kills, moment_seed, point_seed

__all__ = ["kills"]
pytestmark = pytest.mark.root


@pytest.mark.parametrize(("victim", "count"), [("daemon", 4), ("shim", 3), ("worker", 2), ("supervisor", 1)])
def test_down_at_points(kills: Kills, victim: str, count: int) -> None:
    kills.sample(victim, DOWN, count, point_seed())


@pytest.mark.parametrize("number", range(3))
def test_down_at_a_random_moment(kills: Kills, number: int) -> None:
    kills.moment(DOWN, f"{moment_seed()}.{number}")
