"""Running actions along their edges."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stackfile.errors import ActionError
from stackfile.model.plan import Action, Instance
from stackfile.provider.provider import Result
from stackfile.reconcile import execution
from stackfile.reconcile.execution import Handle, Interrupted, Report, Skipped
from stackfile.reconcile.jobs import Job


def action(identity: str, *after: str) -> Action:
    return Action(id=identity, address=f"service.{identity}", action="create", after=after)


def run(actions: list[Action], outcomes: dict[str, Any], needs: execution.Needs = execution.needs_done) -> Report:
    """`outcomes`: action → exception to raise; a callable is called with the job first."""

    async def main() -> Report:
        job = Job("j", "up", "p", lambda: 0)

        async def perform(handle: Handle) -> Result:
            outcome = outcomes.get(handle.action.id)
            if callable(outcome):
                outcome = outcome(job, handle)
            await asyncio.sleep(0)
            if isinstance(outcome, Exception):
                raise outcome
            return Result(word="done")

        async with asyncio.timeout(5):
            return await execution.run(job, actions, perform, needs)

    return asyncio.run(main())


def ids(actions: list[Action]) -> list[str]:
    return [item.id for item in actions]


def test_a_failure_skips_all_that_stand_on_it() -> None:
    report = run([action("a"), action("b", "a"), action("c", "b"), action("d")], {"a": ActionError("kernel", "x")})
    assert ([item.id for item, _ in report.failed], ids(report.skipped), ids(report.done)) == (["a"], ["b", "c"], ["d"])
    assert not report.complete
    assert not report.finished("service.c")
    assert report.finished("service.d")


def test_a_bug_fails_its_action_alone() -> None:
    report = run([action("a"), action("b")], {"a": ValueError("bug")})
    assert [error.reason for _, error in report.failed] == ["internal"]
    assert ids(report.done) == ["b"]


def test_a_performer_may_skip_or_not_begin() -> None:
    report = run([action("a"), action("b"), action("c", "b")], {"a": Skipped("not ready"), "b": Interrupted("stop")})
    assert (ids(report.skipped), ids(report.not_started)) == (["a"], ["b", "c"])


def test_nothing_begins_after_an_interrupt() -> None:
    def interrupt(job: Job, handle: Handle) -> None:
        job.interrupt()

    report = run([action("a"), action("b", "a")], {"a": interrupt})
    assert (ids(report.done), ids(report.not_started)) == (["a"], ["b"])


def test_started_is_enough_where_the_performer_says_so() -> None:
    order: list[str] = []

    def start(job: Job, handle: Handle) -> None:
        order.append(handle.action.id)
        handle.started.set()

    report = run([action("a"), action("b", "a")], {"a": start, "b": start}, lambda *_: "started")
    assert (order, ids(report.done)) == (["a", "b"], ["a", "b"])


def test_a_failure_may_not_matter() -> None:
    report = run([action("a"), action("b", "a")], {"a": ActionError("kernel", "x")}, lambda *_: "ended")
    assert ids(report.done) == ["b"]


@pytest.mark.parametrize(("indices", "text"), [((1,), "1"), ((1, 2, 3), "1..3"), ((3, 1), "1,3"), ((), "")])
def test_indices_for_a_person(indices: tuple[int, ...], text: str) -> None:
    made = Action(id="", address="service.a", action="create", instances=tuple(Instance(index=i) for i in indices))
    assert execution.instances(made) == text
