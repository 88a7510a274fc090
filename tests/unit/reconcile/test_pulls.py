"""Images from registries in plans, and the job that only pulls."""

from __future__ import annotations

import asyncio

import pytest

from stackfile.errors import NotFoundError
from stackfile.model.image import RegistryAuth
from stackfile.model.observed import Observed, UpOptions
from stackfile.model.plan import Plan
from stackfile.model.stack import Service, Stack
from stackfile.reconcile import policy, pulls
from stackfile.reconcile.reconciler import Reconciler
from tests.unit.reconcile import kit
from tests.unit.reconcile.memory import MemoryProvider


def service(name: str = "web", image: str = "nginx", **fields: object) -> Service:
    return kit.service(name, image=image, image_is_stack_image=False, **fields)


def stack(*services: Service) -> Stack:
    return kit.stack(*(services or (service(),)), images={})


def observed(wanted: Stack, **fields: object) -> Observed:
    return Observed(project=None, **{"references": {"nginx": ""}, **fields})  # type: ignore[arg-type]


def made(wanted: Stack, seen: Observed, **options: object) -> Plan:
    return kit.make(wanted, seen, **options)


def test_what_is_not_here_is_pulled_before_its_services() -> None:
    wanted = stack(service("web"), service("db"))
    plan = made(wanted, observed(wanted))
    pull = next(action for action in plan.actions if action.action == "pull")
    assert (pull.address, pull.cause and pull.cause.detail) == ("image.nginx", "not here")
    for name in ("web", "db"):
        create = next(action for action in plan.actions if action.address == f"service.{name}")
        assert pull.id in create.after
    assert [action.action for action in plan.actions].count("pull") == 1
    assert {"address": "image.nginx", "path": "/digest", "until": pull.id} in plan.unknown


def test_what_is_here_is_not_pulled() -> None:
    wanted = stack()
    plan = made(wanted, observed(wanted, references={"nginx": kit.IMAGE}))
    assert "pull" not in [action.action for action in plan.actions]


def test_never_is_an_error_where_it_is_missing() -> None:
    wanted = stack(service(pull_policy="never"))
    with pytest.raises(NotFoundError) as caught:
        made(wanted, observed(wanted))
    assert caught.value.reason == "image-not-found"


@pytest.mark.parametrize(
    ("declared", "option", "pulled", "reason"),
    [
        ("always", "", "", "pull_policy: always"),
        ("", "always", "", "--pull always"),
        ("always", "missing", "", ""),
        ("if_not_present", "", "", ""),
        ("build", "", "", ""),
        ("daily", "", "2026-11-23T03:20:11+00:00", "pull_policy: daily"),
        ("daily", "", "2026-11-23T13:20:11+00:00", ""),
        ("weekly", "", "2026-11-23T03:20:11+00:00", ""),
        ("every_12h", "", "2026-11-23T13:20:11+00:00", "pull_policy: every_12h"),
        ("every_1d12h", "", "2026-11-23T03:20:11+00:00", ""),
        ("every_1h", "", "", "pull_policy: every_1h"),
    ],
)
def test_policies_of_an_image_that_is_here(declared: str, option: str, pulled: str, reason: str) -> None:
    seen = Observed(
        project=None,
        references={"nginx": kit.IMAGE},
        pulled={"nginx": pulled} if pulled else {},
        time="2026-11-24T03:20:11+00:00",
    )
    due = policy.due(stack(service(pull_policy=declared)), seen, UpOptions(pull=option))
    assert due == ({"nginx": reason} if reason else {})


def test_only_references_that_were_looked_for_count() -> None:
    assert policy.due(stack(), Observed(project=None), UpOptions()) == {}


def test_pull_leaves_out_what_must_not_be_pulled() -> None:
    wanted = kit.stack(service("a", "one"), service("b", "two", pull_policy="never"), kit.service("c"))
    seen = Observed(project=None, references={"one": kit.IMAGE, "two": kit.IMAGE})
    assert [action.address for action in pulls.actions(wanted, seen, (), "always")] == ["image.one"]
    assert pulls.actions(wanted, seen, (), "missing") == ()


def test_the_image_is_known_once_it_was_pulled_and_credentials_come_along() -> None:
    provider = MemoryProvider()
    seen: list[object] = []

    class Watching(MemoryProvider):
        async def observe(self, name: str, stack: Stack | None, *, evaluate: bool = True) -> Observed:
            from dataclasses import replace

            found = await super().observe(name, stack, evaluate=evaluate)
            return replace(found, references={"nginx": ""}) if stack else found

        async def execute(self, work, progress):  # type: ignore[no-untyped-def]
            seen.append((work.action.action, dict(work.credentials), [spec.image for spec in work.specs.values()]))
            return await super().execute(work, progress)

    provider = Watching()
    auth = {"docker.io": RegistryAuth(username="me", password="secret")}

    async def run() -> None:
        job = Reconciler(provider).up(stack(), UpOptions(), auth)
        async for event in job.events():
            assert "secret" not in repr(event)

    asyncio.run(run())
    assert seen[-1] == ("create", auth, [kit.IMAGE])
    assert ("pull", auth, []) in seen
