"""What of a project is not as it was applied."""

from __future__ import annotations

from dataclasses import replace

from stackfile.model.observed import Drift, Observed
from stackfile.model.stack import RestartPolicy
from stackfile.reconcile import drifts
from tests.unit.reconcile import kit

STACK = kit.stack(
    kit.service("web", replicas=2),
    kit.service("job", restart=RestartPolicy(name="no")),
    volumes=kit.volume("data"),
)
MEMORY = Drift(address="service.web", field="memory", expected="2", actual="1", place="/x", container="p-web-2")


def found(observed: Observed) -> list[tuple[str, int, str, str]]:
    assert observed.project is not None
    return [(item.address, item.index, item.field, item.actual) for item in drifts.find(observed.project, observed)]


def test_nothing() -> None:
    assert found(kit.applied(STACK)) == []


def test_the_kernel_s_facts_know_their_replica() -> None:
    assert found(kit.applied(STACK, drift=(MEMORY,))) == [("service.web", 2, "memory", "1")]


def test_missing_resources_and_replicas() -> None:
    observed = kit.applied(STACK, networks=(), volumes=())
    left = tuple(item for item in observed.containers if item.id != "p-web-1")
    assert found(replace(observed, containers=left)) == [
        ("network.default", 0, "missing", "none"),
        ("volume.data", 0, "missing", "none"),
        ("service.web", 1, "missing", "none"),
    ]


def test_what_does_not_run() -> None:
    observed = kit.stopped(kit.applied(STACK), "p-web-2", exit_code=137, finished_at="2026-11-24T14:03:11Z")
    assert observed.project is not None
    (item,) = drifts.find(observed.project, observed)
    assert (item.address, item.index, item.field, item.actual, item.place, item.since) == (
        "service.web", 2, "running", "exited 137", "restart: no", "2026-11-24T14:03:11Z"
    )  # fmt: skip


def test_a_job_that_is_done_may_rest() -> None:
    assert found(kit.stopped(kit.applied(STACK), "p-job-1", exit_code=0)) == []
    assert found(kit.stopped(kit.applied(STACK), "p-job-1", exit_code=1)) == [("service.job", 1, "running", "exited 1")]


def test_facts_of_what_the_stack_does_not_have_come_last() -> None:
    observed = kit.applied(STACK, drift=(replace(MEMORY, address="service.old", container="gone"), MEMORY))
    assert [row[0] for row in found(observed)] == ["service.web", "service.old"]
