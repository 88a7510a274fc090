"""`down`: what goes, in which order, and what is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from stackfile.errors import ActionError, UsageError
from stackfile.model.event import JobEvent
from stackfile.model.observed import DownOptions, UpOptions
from stackfile.model.stack import Mount, SecretRef, Stack
from stackfile.reconcile import removal
from stackfile.reconcile.reconciler import Reconciler
from tests.unit.reconcile import kit
from tests.unit.reconcile.memory import MemoryProvider

STACK = kit.stack(
    kit.service("web", replicas=2, depends_on=kit.waiting_for(api="started")),
    kit.service("api", depends_on=kit.waiting_for(store="started")),
    kit.service(
        "store",
        environment={"T": SecretRef("s")},
        mounts=(Mount(type="volume", source="data", target="/d"),),
    ),
    volumes=kit.volume("data"),
    secrets=kit.secret("s"),
)


def told(**options: Any) -> list[str]:
    actions = removal.actions(kit.applied(STACK), DownOptions(**options))
    return [f"{action.action} {action.address}" for action in actions]


def down(provider: MemoryProvider, stack: Stack | None = STACK, **options: Any) -> list[JobEvent]:
    async def main() -> list[JobEvent]:
        reconciler = Reconciler(provider, now=lambda: kit.NOW)
        if stack is not None:
            _ = [event async for event in reconciler.up(stack, UpOptions()).events()]
        provider.trace.clear()
        return [event async for event in reconciler.down("p", DownOptions(**options)).events()]

    return asyncio.run(main())


def test_dependents_go_first_then_networks() -> None:
    actions = removal.actions(kit.applied(STACK), DownOptions())
    assert told() == ["remove service.web", "remove service.api", "remove service.store", "remove network.default"]
    web, api, store, network = actions
    assert (api.after, store.after) == ((web.id,), (api.id,))
    assert network.after == (web.id, api.id, store.id)


def test_volumes_and_contents_only_when_asked() -> None:
    assert told(volumes=True)[4:] == ["remove volume.data", "remove secret.s"]


def test_images_when_asked() -> None:
    assert told(rmi="local")[4:] == ["remove image.docker.io/p/app:latest"]


def test_chosen_services_go_alone() -> None:
    assert told(services=("web",)) == ["remove service.web"]
    with pytest.raises(UsageError):
        told(services=("nope",))


def test_orphans_and_one_off_containers_go_too() -> None:
    observed = kit.applied(STACK)
    spec = observed.containers[0].spec
    marks = {**spec.labels, "com.docker.compose.service": "old", "com.docker.compose.oneoff": "True"}
    old = kit.container(replace(spec, name="p-old-run", labels=marks, depends_on={}))
    actions = removal.actions(replace(observed, containers=(*observed.containers, old)), DownOptions())
    assert "service.old" in [action.address for action in actions]


def test_an_external_network_stays() -> None:
    observed = kit.applied(STACK)
    other = replace(observed.networks[0], name="shared", labels={})
    actions = removal.actions(replace(observed, networks=(other,)), DownOptions())
    assert not [action for action in actions if action.address.startswith("network.")]


def test_down_keeps_the_record_with_its_secret_and_volume() -> None:
    provider = MemoryProvider()
    end = down(provider)[-1]
    assert end.result is not None
    assert (end.status, end.result["containers"], end.result["networks"]) == ("done", 4, 1)
    assert end.result["kept"] == ["volume.data", "secret.s"]
    assert provider.projects["p"].keys == {"secret.s": kit.TOKEN}
    assert provider.observed.containers == ()


def test_down_with_volumes_forgets_the_project() -> None:
    provider = MemoryProvider()
    end = down(provider, volumes=True)[-1]
    assert end.result is not None
    assert (end.result["volumes"], end.result["secrets"], end.result["kept"]) == (1, 1, [])
    assert provider.projects == {}


def test_a_project_that_keeps_nothing_is_forgotten() -> None:
    provider = MemoryProvider()
    down(provider, kit.stack(kit.service("web")))
    assert provider.projects == {}


def test_there_may_be_nothing_to_remove() -> None:
    found = down(MemoryProvider(), None)
    assert [event.type for event in found] == ["job", "note", "end"]
    assert (found[1].code, found[-1].status) == ("nothing", "done")


def test_a_failure_leaves_the_record() -> None:
    async def main() -> None:
        provider = MemoryProvider()
        reconciler = Reconciler(provider, now=lambda: kit.NOW)
        _ = [event async for event in reconciler.up(STACK, UpOptions()).events()]
        provider.fail = {"service.api": ActionError("action-failed", "broken")}
        found = [event async for event in reconciler.down("p", DownOptions(volumes=True)).events()]
        state = {event.address: event.status for event in found if event.type == "action"}
        assert state["service.web"] == "done"
        assert state["service.store"] == state["network.default"] == state["volume.data"] == "skipped"
        assert (found[-1].status, "p" in provider.projects) == ("failed", True)

    asyncio.run(main())
