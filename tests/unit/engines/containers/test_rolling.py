"""Batches of replicas, and what becomes of a failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stackfile.engines import rolling
from stackfile.errors import ActionError
from stackfile.model.plan import Instance
from stackfile.model.stack import Rollout

FIVE = [Instance(index=index) for index in range(1, 6)]


class Replicas:
    """Remembers what was changed together; the replicas in `broken` fail."""

    def __init__(self, *broken: int, stuck: tuple[int, ...] = ()) -> None:
        self.broken = broken
        self.stuck = stuck
        self.now: set[int] = set()
        self.most = 0
        self.changed: list[int] = []
        self.back: list[int] = []

    async def change(self, instance: Instance) -> None:
        self.now.add(instance.index)
        self.most = max(self.most, len(self.now))
        await asyncio.sleep(0)
        self.now.discard(instance.index)
        if instance.index in self.broken:
            raise ActionError("unhealthy", f"replica {instance.index}")
        self.changed.append(instance.index)

    async def put_back(self, instance: Instance) -> None:
        if instance.index in self.stuck:
            raise ActionError("unhealthy", "not even the old one")
        self.back.append(instance.index)

    def roll(self, **policy: Any) -> str:
        """The message of the error, "" for none."""
        rollout = Rollout(**policy)
        try:
            asyncio.run(rolling.roll(FIVE, rollout, self.change, self.put_back, Rollout()))
        except ActionError as error:
            return f"{error.message} {error.hint}".strip()
        return ""


@pytest.mark.parametrize(("parallelism", "most"), [(1, 1), (2, 2), (0, 5)])
def test_batches(parallelism: int, most: int) -> None:
    replicas = Replicas()
    assert replicas.roll(parallelism=parallelism) == ""
    assert (sorted(replicas.changed), replicas.most) == ([1, 2, 3, 4, 5], most)


def test_pause_leaves_the_rest() -> None:
    replicas = Replicas(3)
    assert replicas.roll() == "replica 3"
    assert (replicas.changed, replicas.back) == ([1, 2], [])


def test_continue_changes_the_rest() -> None:
    replicas = Replicas(2)
    assert replicas.roll(failure_action="continue") == "replica 2"
    assert replicas.changed == [1, 3, 4, 5]
    assert Replicas(2).roll(failure_action="continue", max_failure_ratio=0.2) == ""
    assert Replicas(2, 3).roll(failure_action="continue", max_failure_ratio=0.2) == "replica 2"


def test_rollback_undoes_what_was_done() -> None:
    replicas = Replicas(4)
    assert replicas.roll(failure_action="rollback") == "replica 4 the replicas that were changed already are as before"
    assert replicas.back == [3, 2, 1]
    assert Replicas(4, stuck=(2,)).roll(failure_action="rollback") == "replica 4 replicas 2 could not be put back"


def test_a_batch_ends_before_its_failure_is_told() -> None:
    replicas = Replicas(1)
    assert replicas.roll(parallelism=3) == "replica 1"
    assert replicas.changed == [2, 3]
