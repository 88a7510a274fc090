"""What of a project is not as it was applied: the kernel's facts, and what is missing or does not run. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from stackfile.model import labels
from stackfile.model.container import ContainerRecord
from stackfile.model.observed import Drift, Observed, Project
from stackfile.model.stack import Service, Stack
from stackfile.reconcile.context import by_service, number, one_shots
from stackfile.reconcile.services import ended, replicas_of

MISSING = "missing"
RUNNING = "running"


def find(project: Project, observed: Observed) -> list[Drift]:
    """All of it, networks and volumes first, then service by service."""
    stack = project.stack or Stack(name=project.name)
    indices = {record.id: number(record) for record in observed.containers}
    facts = [replace(item, index=indices.get(item.container, item.index)) for item in observed.drift]
    found = [*_missing_resources(stack, observed), *(item for item in facts if not item.container)]
    containers = by_service(observed)
    completes = one_shots(stack)
    for name, service in stack.services.items():
        records = containers.get(name, [])
        found += _missing(service, records)
        for record in sorted(records, key=number):
            found += _stopped(completes, name, record)
            found += [item for item in facts if item.container == record.id]
    known = {record.id for name in stack.services for record in containers.get(name, ())}
    return [*found, *(item for item in facts if item.container and item.container not in known)]


def _missing_resources(stack: Stack, observed: Observed) -> Iterator[Drift]:
    networks = {record.name for record in observed.networks if record.labels.get(labels.PROJECT) == stack.name}
    volumes = {record.name for record in observed.volumes}
    for network in stack.networks.values():
        if network.full_name not in networks and not network.external:
            yield _gone(f"network.{network.name}", network.full_name)
    for volume in stack.volumes.values():
        if volume.full_name not in volumes and not volume.external:
            yield _gone(f"volume.{volume.name}", volume.full_name)


def _missing(service: Service, records: list[ContainerRecord]) -> Iterator[Drift]:
    present = {number(record) for record in records}
    for index in replicas_of(service):
        if index not in present:
            yield replace(_gone(f"service.{service.name}", f"replica {index}"), index=index)


def _gone(address: str, what: str) -> Drift:
    return Drift(address=address, field=MISSING, expected=what, actual="none", place="removed")


def _stopped(completes: set[str], name: str, record: ContainerRecord) -> Iterator[Drift]:
    """A container that should run; one that has done its work well may rest."""
    if why := ended(completes, name, record):
        yield Drift(
            address=f"service.{name}",
            field=RUNNING,
            expected="running",
            actual=why,
            place=f"restart: {record.spec.restart.name}",
            container=record.id,
            index=number(record),
            since=record.state.finished_at,
        )
