"""Changing the replicas of a service in batches, as its `update_config` says: one at a time unless told otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from stackfile.engines.together import finish_all
from stackfile.errors import StackfileError
from stackfile.model.plan import Instance
from stackfile.model.stack import SECOND, Rollout

Change = Callable[[Instance], Awaitable[None]]
CONTINUE, ROLLBACK = "continue", "rollback"


async def roll(
    instances: Sequence[Instance], policy: Rollout, change: Change, put_back: Change | None, back: Rollout
) -> None:
    """`change` each replica. Raises the first error; by then the policy's failure action was taken.

    pause: the rest stays as it was. continue: the rest is changed all the same, and failures up to the policy's ratio
    are none. rollback: `put_back` undoes what was done, as the policy `back` says.
    """
    done: list[Instance] = []
    errors: list[StackfileError] = []
    for number, batch in enumerate(_batches(instances, policy.parallelism)):
        if number and policy.delay:
            await asyncio.sleep(policy.delay / SECOND)
        errors += await _batch(batch, change, done)
        if errors and policy.failure_action != CONTINUE:
            break
    if not errors or (policy.failure_action == CONTINUE and len(errors) <= policy.max_failure_ratio * len(instances)):
        return
    first = errors[0]
    if policy.failure_action == ROLLBACK and put_back is not None and done:
        first.hint = await _undo(done, put_back, back)
    raise first


async def _batch(batch: Sequence[Instance], change: Change, done: list[Instance]) -> list[StackfileError]:
    errors: list[StackfileError] = []

    async def one(instance: Instance) -> None:
        try:
            await change(instance)
        except StackfileError as error:
            errors.append(error)
        else:
            done.append(instance)

    await finish_all(one(instance) for instance in batch)
    return errors


async def _undo(done: Sequence[Instance], put_back: Change, back: Rollout) -> str:
    """Put back what was done; returns what a person should know of it."""
    left: list[Instance] = []
    for batch in _batches(list(reversed(done)), back.parallelism):
        put: list[Instance] = []
        if await _batch(batch, put_back, put):
            left += [instance for instance in batch if instance not in put]
    names = ", ".join(str(instance.index) for instance in sorted(left, key=lambda instance: instance.index))
    if left:
        return f"replicas {names} could not be put back"
    return "the replicas that were changed already are as before"


def _batches(instances: Sequence[Instance], parallelism: int) -> list[Sequence[Instance]]:
    """0 is all at once."""
    size = parallelism or len(instances) or 1
    return [instances[start : start + size] for start in range(0, len(instances), size)]
