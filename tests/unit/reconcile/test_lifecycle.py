"""start, stop, restart, kill, rm."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stackfile.errors import UsageError
from stackfile.model.event import JobEvent
from stackfile.model.observed import Observed, UpOptions
from stackfile.reconcile.lifecycle import LifecycleOptions, actions
from stackfile.reconcile.reconciler import Reconciler
from tests.unit.reconcile import kit
from tests.unit.reconcile.memory import MemoryProvider

STACK = kit.stack(
    kit.service("web", replicas=2, depends_on=kit.waiting_for(store="started")),
    kit.service("store"),
    groups={"all": ("web", "store")},
)
UP = kit.applied(STACK)


def told(observed: Observed, verb: str, **options: Any) -> list[str]:
    return [
        f"{action.action} {action.address} {','.join(str(item.index) for item in action.instances)}"
        for action in actions(observed, verb, LifecycleOptions(**options))
    ]


def test_stop_and_kill_go_against_the_dependencies_and_restart_with_them() -> None:
    assert told(UP, "stop") == ["stop service.web 1,2", "stop service.store 1"]
    assert told(UP, "restart") == ["restart service.store 1", "restart service.web 1,2"]
    web, store = actions(UP, "stop", LifecycleOptions())
    assert store.after == (web.id,)
    assert all(action.after == () for action in actions(UP, "kill", LifecycleOptions()))


def test_only_what_the_verb_concerns() -> None:
    one_stopped = kit.stopped(UP, "p-web-2", exit_code=1)
    assert told(one_stopped, "start") == ["start service.web 2"]
    assert told(one_stopped, "stop") == ["stop service.web 1", "stop service.store 1"]
    assert told(one_stopped, "rm") == ["remove service.web 2"]
    assert told(one_stopped, "rm", force=True) == ["remove service.web 1,2", "remove service.store 1"]
    assert told(UP, "start") == []


def test_services_and_groups() -> None:
    assert told(UP, "stop", services=("store",)) == ["stop service.store 1"]
    assert len(told(UP, "stop", services=("all",))) == 2
    with pytest.raises(UsageError) as caught:
        told(UP, "stop", services=("nope",))
    assert caught.value.reason == "no-such-service"


def lifecycle(verb: str, *, project: str = "p", **options: Any) -> list[JobEvent]:
    async def main() -> list[JobEvent]:
        reconciler = Reconciler(MemoryProvider(), now=lambda: kit.NOW)
        _ = [event async for event in reconciler.up(STACK, UpOptions()).events()]
        return [event async for event in reconciler.lifecycle(verb, project, **options).events()]

    return asyncio.run(main())


def test_a_job_counts_containers() -> None:
    end = lifecycle("stop")[-1]
    assert end.result is not None
    assert (end.status, end.result["containers"], end.result["done"]) == (
        "done", 3, ["service.web", "service.store"]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "options", "reason"),
    [("stop", {"services": ["nope"]}, "no-such-service"), ("dance", {}, "unknown-verb"),
     ("stop", {"project": "nope"}, "not-found")],
)  # fmt: skip
def test_mistakes_end_the_job(verb: str, options: dict[str, Any], reason: str) -> None:
    end = lifecycle(verb, **options)[-1]
    assert end.error is not None
    assert (end.status, end.error["reason"]) == ("failed", reason)
