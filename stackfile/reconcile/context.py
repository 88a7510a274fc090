"""All that a decision about one resource may look at. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import networkx

from stackfile import graph as graphs
from stackfile.model import labels
from stackfile.model.container import ContainerRecord, ContainerSpec
from stackfile.model.observed import Observed, UpOptions
from stackfile.model.plan import Action, Note
from stackfile.model.stack import Service, Stack
from stackfile.reconcile import policy
from stackfile.reconcile.instantiate import Knowledge


@dataclass(slots=True, kw_only=True)
class Context:
    """Wanted and existing, side by side."""

    stack: Stack
    observed: Observed
    options: UpOptions
    table: Mapping[str, str]
    """The engine's change table."""
    knowledge: Knowledge
    graph: networkx.DiGraph[str]
    containers: dict[str, list[ContainerRecord]]
    """By service, replicas alone (no one-off containers)."""
    completes: set[str]
    """Services that others wait for to complete: one-shots."""
    recreated: set[str] = field(default_factory=set)
    """Addresses decided to be replaced: what shares their namespaces or data follows."""
    emptied: set[str] = field(default_factory=set)
    """Volumes whose directory is made again: a container that runs still has the old one."""
    pulls: Mapping[str, str] = field(default_factory=dict)
    """Reference of a service's image → why it is pulled now. What it will be is not known before."""
    restarted: set[str] = field(default_factory=set)
    """Addresses whose processes are decided to begin anew: who depends on them with `restart: true` follows."""
    specs: dict[str, dict[int, ContainerSpec]] = field(default_factory=dict)
    """Service → its wanted containers, as they were when it was decided."""

    @classmethod
    def of(cls, stack: Stack, observed: Observed, options: UpOptions, table: Mapping[str, str]) -> Context:
        pulls = policy.due(stack, observed, options)
        knowledge = Knowledge.of(observed)
        knowledge.references.update(dict.fromkeys(pulls, ""))
        return cls(
            stack=stack,
            observed=observed,
            options=options,
            table=table,
            knowledge=knowledge,
            pulls=pulls,
            graph=graphs.build(stack),
            containers=by_service(observed),
            completes=one_shots(stack),
        )

    def note(self, action: Action) -> None:
        """Remember a decision that others follow."""
        if action.action == "recreate":
            self.recreated.add(action.address)
        if action.action == "update" and action.address.startswith("volume."):
            self.emptied.add(action.address)
        if action.action in ("recreate", "restart"):
            self.restarted.add(action.address)

    def replicas(self, service: Service) -> int:
        return self.options.scale.get(service.name, service.replicas)


@dataclass(slots=True, kw_only=True)
class Decision:
    """What is to be done about one resource: actions without ids yet, in order; none where it stays as it is."""

    address: str
    actions: list[Action] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Paths of fields whose value is known once what it depends on was built or generated."""


def one_shots(stack: Stack) -> set[str]:
    """Services that others wait for to complete."""
    return {
        name
        for service in stack.services.values()
        for name, dependency in service.depends_on.items()
        if dependency.condition == "service_completed_successfully"
    }


def by_service(observed: Observed) -> dict[str, list[ContainerRecord]]:
    """Replicas of each service that has containers."""
    found: dict[str, list[ContainerRecord]] = {}
    for record in observed.containers:
        service = record.spec.labels.get(labels.SERVICE, "")
        if service and record.spec.labels.get(labels.ONEOFF, "False") != "True":
            found.setdefault(service, []).append(record)
    return found


def number(record: ContainerRecord) -> int:
    """Replica index of a container, 0 where its label says none."""
    text = record.spec.labels.get(labels.NUMBER, "")
    return int(text) if text.isdecimal() else 0
