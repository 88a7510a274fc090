"""`up` over a provider in memory: order, failure, interrupt, what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from stackfile.errors import ActionError
from stackfile.model.event import JobEvent
from stackfile.model.observed import UpOptions
from stackfile.model.stack import FileRef, SecretRef, Stack
from stackfile.reconcile.jobs import Job
from stackfile.reconcile.reconciler import Reconciler
from tests.unit.reconcile import kit
from tests.unit.reconcile.memory import MemoryProvider

STACK = kit.stack(
    kit.service("web", replicas=2, depends_on=kit.waiting_for(store="healthy")),
    kit.service("store", environment={"T": SecretRef("s")}),
    kit.service("alone", files=(FileRef(kind="config", source="c", target="/c"),)),
    secrets=kit.secret("s"),
    configs=kit.config("c"),
)
BROKEN = ActionError("action-failed", "broken")


def run(scenario: Callable[[MemoryProvider, Reconciler], Awaitable[None]]) -> None:
    async def main() -> None:
        provider = MemoryProvider()
        provider.builds = {"app": kit.IMAGE}
        async with asyncio.timeout(10):
            await scenario(provider, Reconciler(provider, now=lambda: kit.NOW))

    asyncio.run(main())


async def events(job: Job) -> list[JobEvent]:
    return [event async for event in job.events()]


async def up(reconciler: Reconciler, stack: Stack = STACK, **options: Any) -> list[JobEvent]:
    return await events(reconciler.up(stack, UpOptions(**options)))


def statuses(found: list[JobEvent]) -> dict[str, str]:
    """Address → last status."""
    return {event.address: event.status for event in found if event.type == "action"}


def test_everything_is_done_in_order_and_remembered() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        found = await up(reconciler)
        assert [event.type for event in found[:2]] == ["job", "plan"]
        assert [event.sequence for event in found] == list(range(1, len(found) + 1))
        assert set(statuses(found).values()) == {"done"}
        trace = provider.trace
        assert trace.index("build image.app done") < trace.index("create service.store")
        assert trace.index("generate secret.s done") < trace.index("create service.store")
        assert trace.index("service_healthy store") < trace.index("create service.web")
        end = found[-1]
        assert (end.type, end.status, end.error) == ("end", "done", None)
        assert end.result is not None
        assert end.result["counts"]["create"] == 7
        assert (end.result["containers"], end.result["resources"]) == (4, 7)
        assert {"address": "service.web", "url": "http://localhost:80"} in end.result["ports"]
        project = provider.projects["p"]
        assert (project.generation, project.environment, project.directory) == (1, "dev", "/srv/p")
        assert project.keys == {"config.c": kit.key("x"), "secret.s": kit.TOKEN}
        assert project.stack is not None
        assert set(project.stack.services) == {"web", "store", "alone"}

    run(scenario)


def test_containers_get_the_image_and_the_key_that_were_unknown_when_planned() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.builds = {"app": kit.OTHER_IMAGE}
        await up(reconciler)
        spec = provider.container("p-store-1").spec
        assert (spec.image, spec.secret_keys) == (kit.OTHER_IMAGE, {"s": kit.TOKEN})

    run(scenario)


def test_a_second_up_does_nothing_and_writes_nothing() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        await up(reconciler)
        before, provider.trace = provider.projects["p"], []
        found = await up(reconciler)
        assert (statuses(found), provider.begun(), found[-1].status) == ({}, [], "done")
        assert provider.projects["p"] is before

    run(scenario)


def test_a_build_that_gives_the_same_image_recreates_nothing() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        await up(reconciler)
        provider.builds, provider.trace = {"app": kit.IMAGE}, []
        found = await up(reconciler)
        assert provider.begun() == ["build image.app"]
        words = {event.address: event.word for event in found if event.status == "done" and event.type == "action"}
        assert words["service.web"] == "unchanged"
        assert found[-1].result is not None
        counts = found[-1].result["counts"]
        assert (counts["update"], counts["recreate"], counts["unchanged"]) == (1, 0, 6)

    run(scenario)


def test_a_build_that_gives_another_image_recreates() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        await up(reconciler)
        provider.builds, provider.trace = {"app": kit.OTHER_IMAGE}, []
        await up(reconciler)
        assert set(provider.begun()) == {
            "build image.app", "recreate service.store", "recreate service.web", "recreate service.alone",
        }  # fmt: skip
        assert provider.container("p-web-2").spec.image == kit.OTHER_IMAGE

    run(scenario)


def test_independent_actions_run_at_the_same_time() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.gates = {"network.default": asyncio.Event(), "image.app": asyncio.Event()}
        job = reconciler.up(STACK, UpOptions())
        while not {"create network.default", "build image.app", "generate secret.s"} <= set(provider.trace):
            await asyncio.sleep(0)
        for gate in provider.gates.values():
            gate.set()
        await events(job)

    run(scenario)


def test_a_failure_skips_what_depends_on_it_and_nothing_else() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.fail = {"service.store": BROKEN}
        found = await up(reconciler)
        state = statuses(found)
        assert (state["service.store"], state["service.web"], state["service.alone"]) == ("failed", "skipped", "done")
        end = found[-1]
        assert end.error is not None
        assert end.result is not None
        assert (end.status, end.error["message"]) == ("failed", "broken")
        assert (end.result["failed"], end.result["not_done"]) == (["service.store"], ["service.web"])
        assert [event.message for event in found if event.type == "log"] == ["it broke", "last words"]
        project = provider.projects["p"]
        assert project.stack is not None
        assert set(project.stack.services) == {"alone"}

    run(scenario)


def test_what_could_not_be_applied_keeps_its_old_model() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        await up(reconciler)
        provider.fail = {"service.store": BROKEN}
        changed = {name: replace(item, user="7") for name, item in STACK.services.items()}
        await up(reconciler, replace(STACK, services=changed))
        applied = provider.projects["p"].stack
        assert applied is not None
        assert {name: item.user for name, item in applied.services.items()} == {"web": "", "store": "", "alone": "7"}

    run(scenario)


def test_a_first_up_that_leaves_nothing_is_forgotten() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.fail = {"image.app": BROKEN, "network.default": BROKEN}
        stack = kit.stack(kit.service("web"))
        found = await up(reconciler, stack)
        assert (found[-1].status, provider.projects) == ("failed", {})

    run(scenario)


def test_an_unhealthy_service_fails_and_its_dependents_are_skipped() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.unhealthy = {"store": ActionError("unhealthy", "p-store-1 is unhealthy")}
        found = await up(reconciler)
        state = statuses(found)
        assert (state["service.store"], state["service.web"], state["service.alone"]) == ("failed", "skipped", "done")
        assert found[-1].error is not None
        assert found[-1].error["reason"] == "unhealthy"

    run(scenario)


def test_a_dependency_that_is_not_required_may_fail() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.fail = {"service.store": BROKEN}
        provider.unhealthy = {"store": ActionError("not-running", "no container")}
        optional = {name: replace(item, required=False) for name, item in kit.waiting_for(store="healthy").items()}
        stack = kit.stack(kit.service("web", depends_on=optional), kit.service("store"))
        assert statuses(await up(reconciler, stack))["service.web"] == "done"

    run(scenario)


def test_a_one_shot_is_waited_for_until_it_completes() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        web = kit.service("web", depends_on=kit.waiting_for(job="completed_successfully"))
        found = await up(reconciler, kit.stack(web, kit.service("job")))
        trace = provider.trace
        assert trace.index("service_completed_successfully job") < trace.index("create service.web")
        words = {event.address: event.word for event in found if event.status == "done"}
        assert (words["service.job"], words["service.web"]) == ("completed", "healthy")

    run(scenario)


def test_a_long_wait_is_told() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.health_gates = {"store": asyncio.Event()}
        job = reconciler.up(STACK, UpOptions())
        async for event in job.events():
            if event.status == "waiting":
                assert (event.address, "service.store" in event.detail) == ("service.web", True)
                provider.health_gates["store"].set()
        assert job.status == "done"

    run(scenario)


def test_a_timeout_names_what_was_waited_for() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.health_gates = {"alone": asyncio.Event()}
        found = await up(reconciler, kit.stack(kit.service("alone")), timeout=1)
        assert found[-1].error is not None
        assert (found[-1].error["reason"], "alone" in found[-1].error["message"]) == ("timeout", True)

    run(scenario)


def test_without_wait_it_returns_when_started() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.health_gates = {"alone": asyncio.Event()}
        found = await up(reconciler, kit.stack(kit.service("alone")), wait=False)
        assert found[-1].status == "done"

    run(scenario)


def test_an_unchanged_service_that_is_not_healthy_fails_the_up() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        stack = kit.stack(kit.service("alone"))
        await up(reconciler, stack)
        provider.unhealthy = {"alone": ActionError("unhealthy", "p-alone-1 is unhealthy")}
        found = await up(reconciler, stack)
        assert found[-1].error is not None
        assert (found[-1].status, found[-1].error["reason"]) == ("failed", "unhealthy")
        assert "last words" in [event.message for event in found if event.type == "log"]

    run(scenario)


def test_an_interrupt_finishes_what_is_under_way_and_starts_nothing_new() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.gates = {"image.app": asyncio.Event()}
        job = reconciler.up(STACK, UpOptions())
        while "build image.app" not in provider.trace or "create network.default done" not in provider.trace:
            await asyncio.sleep(0)
        job.interrupt()
        job.interrupt()
        provider.gates["image.app"].set()
        end = (await events(job))[-1]
        assert (end.status, end.error is not None and end.error["reason"]) == ("cancelled", "cancelled")
        assert end.result is not None
        assert {"image.app", "network.default"} <= set(end.result["done"])
        assert {"service.web", "service.store", "service.alone"} == set(end.result["not_done"])
        assert not [line for line in provider.trace if "service." in line]

    run(scenario)


def test_after_an_interrupt_nothing_has_its_turn() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.gates = {"image.app": asyncio.Event(), "network.default": asyncio.Event()}
        job = reconciler.up(STACK, UpOptions(parallel=1))
        while not (begun := provider.begun()):
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)  # the others wait for their turn by now
        job.interrupt()
        for gate in provider.gates.values():
            gate.set()
        end = (await events(job))[-1]
        assert end.status == "cancelled"
        assert (len(begun), provider.begun()) == (1, begun)

    run(scenario)


def test_an_interrupt_ends_waits_for_health() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        provider.health_gates = {"store": asyncio.Event()}
        job = reconciler.up(STACK, UpOptions())
        while "create service.store done" not in provider.trace:
            await asyncio.sleep(0)
        job.interrupt()
        end = (await events(job))[-1]
        assert end.result is not None
        assert (end.status, end.result["not_done"]) == ("cancelled", ["service.web"])
        project = provider.projects["p"]
        assert project.stack is not None
        assert "store" in project.stack.services

    run(scenario)


def test_no_start_creates_only() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        await up(reconciler, no_start=True)
        assert {record.state.status for record in provider.observed.containers} == {"exited"}
        assert not [line for line in provider.trace if line.startswith("service_")]

    run(scenario)


def test_an_up_of_one_service_keeps_the_model_of_the_others() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        await up(reconciler)
        changed = {name: replace(item, user="7") for name, item in STACK.services.items()}
        await up(reconciler, replace(STACK, services=changed), services=("alone",))
        applied = provider.projects["p"].stack
        assert applied is not None
        assert {name: item.user for name, item in applied.services.items()} == {"web": "", "store": "", "alone": "7"}

    run(scenario)


def test_a_refusal_ends_the_job_with_its_error() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        await up(reconciler)
        found = await up(reconciler, replace(STACK, environment="prod"))
        assert found[-1].error is not None
        assert (found[-1].status, found[-1].error["reason"], found[-1].error["exit"]) == (
            "failed", "environment-switch", 5
        )  # fmt: skip

    run(scenario)
