"""Jobs: one at a time per project, events that can be read again, interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from stackfile.errors import ActionError, NotFoundError
from stackfile.model.event import JobEvent
from stackfile.reconcile import jobs
from stackfile.reconcile.jobs import Job, JobManager, Outcome


def run(scenario: Callable[[JobManager], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await scenario(JobManager(clock=lambda: 5_000_000_000))

    asyncio.run(main())


async def events(job: Job, after: int = 0) -> list[JobEvent]:
    return [event async for event in job.events(after)]


async def quick(job: Job) -> Outcome:
    job.emit(JobEvent(sequence=0, type="note", message="hello"))
    return Outcome(result={"n": 1})


def held(gate: asyncio.Event) -> Callable[[Job], Awaitable[Outcome]]:
    async def body(job: Job) -> Outcome:
        await gate.wait()
        return Outcome()

    return body


def test_a_job_tells_its_id_first_and_its_end_last() -> None:
    async def scenario(manager: JobManager) -> None:
        job = manager.start("up", "p", quick)
        found = await events(job)
        assert [event.type for event in found] == ["job", "note", "end"]
        assert [event.sequence for event in found] == [1, 2, 3]
        assert (found[0].id, found[0].attributes) == (job.id, {"kind": "up", "project": "p"})
        assert (found[-1].status, found[-1].result, found[-1].time_ns) == ("done", {"n": 1}, 5_000_000_000)

    run(scenario)


def test_events_can_be_read_again_from_any_number_and_by_many() -> None:
    async def scenario(manager: JobManager) -> None:
        job = manager.start("up", "p", quick)
        one, two = await asyncio.gather(events(job), events(job))
        assert one == two
        assert await events(job, after=2) == one[2:]
        assert await events(job, after=99) == []

    run(scenario)


def test_the_second_job_of_a_project_waits_and_says_for_whom() -> None:
    async def scenario(manager: JobManager) -> None:
        gate = asyncio.Event()
        first, second = manager.start("up", "p", held(gate)), manager.start("down", "p", quick)
        stream = second.events()
        assert (await anext(stream)).type == "job"
        waiting = await anext(stream)
        assert (waiting.type, waiting.attributes["job"], waiting.attributes["kind"]) == ("waiting", first.id, "up")
        assert first.id in waiting.message
        assert (first.status, second.status) == ("running", "waiting")
        gate.set()
        assert [event.type async for event in stream] == ["note", "end"]

    run(scenario)


def test_who_waits_hears_for_how_long_the_other_has_run() -> None:
    async def main() -> None:
        now = 0
        manager = JobManager(clock=lambda: now * 1_000_000_000)
        gates = [asyncio.Event(), asyncio.Event()]
        jobs_ = [manager.start("up", "p", held(gate)) for gate in gates]
        await asyncio.sleep(0)
        now = 7
        gates[0].set()
        await events(jobs_[0])
        while jobs_[1].status != "running":
            await asyncio.sleep(0)
        now = 9
        third = manager.start("up", "p", quick).events()
        await anext(third)
        assert "since 2 s" in (await anext(third)).message, "not since it was asked for"
        gates[1].set()
        assert [event.type async for event in third] == ["note", "end"]

    asyncio.run(main())


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE", 0.05)

    async def scenario(manager: JobManager) -> None:
        gate = asyncio.Event()
        first, second = manager.start("build", "p", held(gate)), manager.start("up", "p", quick)
        error = (await events(second))[-1].error
        assert error is not None
        assert (second.status, error["reason"]) == ("failed", "timeout")
        assert first.id in error["cause"]
        # It has left the queue, and the one that it waited for runs on.
        third = manager.start("down", "p", quick)
        gate.set()
        assert [(await events(job))[-1].status for job in (first, third)] == ["done", "done"]

    run(scenario)


def test_jobs_of_a_project_run_in_the_order_they_came() -> None:
    async def scenario(manager: JobManager) -> None:
        order: list[str] = []

        def body(name: str) -> Callable[[Job], Awaitable[Outcome]]:
            async def work(job: Job) -> Outcome:
                order.append(name)
                await asyncio.sleep(0)
                order.append(name)
                return Outcome()

            return work

        started = [manager.start("up", "p", body(name)) for name in "abc"]
        await asyncio.gather(*(events(job) for job in started))
        assert order == ["a", "a", "b", "b", "c", "c"]

    run(scenario)


def test_projects_run_side_by_side() -> None:
    async def scenario(manager: JobManager) -> None:
        gate = asyncio.Event()
        first, second = manager.start("up", "p", held(gate)), manager.start("up", "q", quick)
        assert (await events(second))[-1].status == "done"
        gate.set()
        assert (await events(first))[-1].status == "done"

    run(scenario)


def test_an_interrupted_wait_ends_at_once_and_leaves_the_queue() -> None:
    async def scenario(manager: JobManager) -> None:
        gate = asyncio.Event()
        first = manager.start("up", "p", held(gate))
        second, third = manager.start("up", "p", quick), manager.start("up", "p", quick)
        await asyncio.sleep(0)
        second.interrupt()
        end = (await events(second))[-1]
        assert (end.status, end.error is not None and end.error["reason"]) == ("cancelled", "cancelled")
        gate.set()
        assert (await events(third))[-1].status == "done"
        assert first.finished

    run(scenario)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ActionError("port-taken", "8080 is taken"), "failed", "port-taken"),
        (ActionError("cancelled", "interrupted"), "cancelled", "cancelled"),
        (ValueError("a bug"), "failed", "internal"),
    ],
)
def test_an_error_ends_the_job(error: Exception, status: str, reason: str) -> None:
    async def scenario(manager: JobManager) -> None:
        async def body(job: Job) -> Outcome:
            raise error

        end = (await events(manager.start("up", "p", body)))[-1]
        assert (end.status, end.error is not None and end.error["reason"]) == (status, reason)

    run(scenario)


def test_jobs_are_found_by_id_and_old_ones_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "FINISHED_KEPT", 2)

    async def scenario(manager: JobManager) -> None:
        started = []
        for _ in range(4):
            job = manager.start("up", "p", quick)
            await events(job)
            assert job.task is not None
            await job.task
            started.append(job)
        assert list(manager.list()) == started[2:]
        assert manager.get(started[3].id) is started[3]
        with pytest.raises(NotFoundError):
            manager.get(started[0].id)

    run(scenario)


def test_of_much_output_the_last_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LINES_KEPT", 3)
    monkeypatch.setattr(jobs, "LINES_OF_OLD", 1)
    monkeypatch.setattr(jobs, "WHOLE_KEPT", 1)

    async def talk(job: Job) -> Outcome:
        for number in range(5):
            job.emit(JobEvent(sequence=0, type="log", message=str(number)))
        return Outcome()

    async def finished(manager: JobManager) -> Job:
        job = manager.start("build", "p", talk)
        assert job.task is not None
        await job.task
        return job

    async def scenario(manager: JobManager) -> None:
        job = await finished(manager)
        found = await events(job)
        assert [event.type for event in found] == ["job", "note", "log", "log", "log", "end"]
        assert [event.sequence for event in found] == [1, 3, 4, 5, 6, 7]
        assert (found[1].message.startswith("2 lines"), found[2].message) == (True, "2")
        assert await events(job, after=4) == found[3:]
        await finished(manager)
        assert [event.message for event in await events(job) if event.type == "log"] == ["4"]

    run(scenario)


def test_closing_interrupts_and_waits() -> None:
    async def scenario(manager: JobManager) -> None:
        async def body(job: Job) -> Outcome:
            await job.until_interrupted()
            return Outcome(status="cancelled")

        job = manager.start("up", "p", body)
        await asyncio.sleep(0)
        await manager.close()
        assert job.finished

    run(scenario)
