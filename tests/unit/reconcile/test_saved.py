"""Saved plans: what they hold, and what makes them stale. Also over a provider in memory: applied exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from stackfile import wire
from stackfile.engines.strategies import TABLE
from stackfile.errors import RefusedError
from stackfile.model.observed import Drift, Observed, UpOptions
from stackfile.model.stack import Attachment, Build, ImageResource, SecretResource, Stack
from stackfile.reconcile import saved
from stackfile.reconcile.context import Context
from stackfile.reconcile.reconciler import Reconciler
from tests.unit.reconcile import kit
from tests.unit.reconcile.memory import MemoryProvider
from tests.unit.reconcile.test_up import events, run

BEFORE = kit.stack(kit.service("web", environment={"A": "1"}), kit.service("db"))
WANTED = kit.stack(kit.service("web", environment={"A": "2"}), kit.service("db"))


def differences(observed: Observed, wanted: Stack = WANTED, **options: Any) -> list[str]:
    """What makes the plan from BEFORE to WANTED stale when `observed` is found."""
    planned = kit.make(WANTED, kit.applied(BEFORE))
    context = Context.of(wanted, observed, UpOptions(**options), TABLE)
    try:
        saved.check(planned, kit.make(wanted, observed, **options), context)
    except RefusedError as error:
        return list(error.details["differences"]) if error.reason == "stale-plan" else [error.reason]
    return []


def test_nothing_changed() -> None:
    assert differences(kit.applied(BEFORE)) == []


def test_uptime_health_and_pid_are_no_change() -> None:
    found = kit.applied(BEFORE)
    states = tuple(
        replace(item, state=replace(item.state, pid=7, started_at="2027-01-01T00:00:00Z", restart_count=3), memory=9)
        for item in found.containers
    )
    assert differences(replace(found, containers=states)) == []


@pytest.mark.parametrize(
    ("observed", "text"),
    [
        (kit.applied(BEFORE, containers=()), "service.web: container p-web-1 is gone"),
        (kit.stopped(kit.applied(BEFORE), "p-web-1"), "service.web: container p-web-1 running was true, is false"),
        (kit.applied(BEFORE, networks=()), "network.default: id is gone"),
        (kit.applied(BEFORE, images={"app": kit.evaluation(image=kit.OTHER_IMAGE)}), "image.app: image was"),
        (
            kit.applied(
                BEFORE,
                drift=(
                    Drift(
                        address="service.web", field="memory", expected="1", actual="2", place="x", container="p-web-1"
                    ),
                ),
            ),
            "service.web: drift is new",
        ),
        (
            kit.applied(BEFORE, containers=kit.applied(WANTED).containers),
            "service.web: container p-web-1 definition was",
        ),
    ],
)
def test_the_machine_changed(observed: Observed, text: str) -> None:
    found = differences(observed)
    assert any(item.startswith(text) for item in found), found


def test_what_no_action_names_does_not_count() -> None:
    found = kit.applied(BEFORE)
    without = tuple(item for item in found.containers if item.id != "p-db-1")
    # … but then another plan is needed, and that counts
    assert differences(replace(found, containers=without)) == ["service.db: nothing planned, now create"]


def test_another_up_in_between() -> None:
    found = kit.applied(BEFORE)
    assert found.project is not None
    later = replace(found, project=replace(found.project, generation=2))
    assert differences(later) == ["the project was changed in between: generation 1, now 2"]


def test_contents_of_secrets_are_not_in_it() -> None:
    secrets = {"s": SecretResource(name="s", content=("t0psecret",)), "g": SecretResource(name="g")}
    build = Build(secret_texts={"s": "t0psecret"})
    wanted = replace(WANTED, secrets=secrets, images={"app": ImageResource(name="app", build=build)})
    made = saved.complete(kit.make(WANTED, kit.applied(BEFORE)), wanted, ({"path": "stack.yaml", "digest": "x"},))
    document = wire.to_document(made)
    assert "t0psecret" not in json.dumps(document)
    plan, stack, options = saved.read(json.loads(json.dumps(document)))
    assert plan == made
    assert options == UpOptions()
    assert saved.with_contents(stack, {"s": secrets["s"]}).secrets["s"].content == ("t0psecret",)


def test_apply_does_what_was_planned_and_refuses_afterwards() -> None:
    async def scenario(provider: MemoryProvider, reconciler: Reconciler) -> None:
        wanted = kit.stack(kit.service("web", networks=(Attachment(network="default"),)))
        document = wire.to_document(await reconciler.plan(wanted, UpOptions(), inputs=()))
        end = (await events(reconciler.apply(document, {})))[-1]
        assert end.status == "done", end.error
        assert provider.projects["p"].generation == 1
        assert "create service.web done" in provider.trace
        end = (await events(reconciler.apply(document, {})))[-1]
        assert end.error is not None
        assert (end.status, end.error["reason"], end.error["exit"]) == ("failed", "stale-plan", 5)

    run(scenario)
