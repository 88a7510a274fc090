"""What a project has that its stack does not ask for. Kept and noted, or removed when asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stackfile.model import labels
from stackfile.model.container import ContainerRecord
from stackfile.model.plan import Action, Cause, Disruption, Instance, Note
from stackfile.reconcile.context import Context, Decision, number

_CAUSE = Cause(kind="orphan", detail="not in the stack file")


def decide(context: Context) -> list[Decision]:
    """Removal of the containers of vanished services, then of the networks that nobody asks for."""
    found = []
    for name, records in _services(context):
        instances = tuple(Instance(index=number(record), container=record.id) for record in records)
        disruption = Disruption(interrupts=True, grace_seconds=10, loses_writable_layer=True)
        address = f"service.{name}"
        action = Action(
            id="", address=address, action="remove", instances=instances, cause=_CAUSE, disruption=disruption
        )
        found.append(Decision(address=address, actions=[action]))
    for name, full_name in _networks(context):
        action = Action(id="", address=f"network.{name}", action="remove", cause=_CAUSE, detail=full_name)
        found.append(Decision(address=action.address, actions=[action]))
    return found


def kept(context: Context) -> list[dict[str, str]]:
    """The same things, as a plan names what it leaves."""
    names = [f"service.{name}" for name, _ in _services(context)]
    names += [f"network.{name}" for name, _ in _networks(context)]
    return [{"address": address, "reason": "orphan"} for address in names]


def notes(entries: Sequence[dict[str, str]]) -> list[Note]:
    """One note for all orphaned services."""
    names = [entry["address"].partition(".")[2] for entry in entries if entry["address"].startswith("service.")]
    if not names:
        return []
    message = f"not in the stack file but kept: {', '.join(names)} (--remove-orphans removes them)"
    return [Note(code="orphan", severity="warning", address=f"service.{names[0]}", message=message)]


def _services(context: Context) -> Iterable[tuple[str, list[ContainerRecord]]]:
    return [(name, records) for name, records in context.containers.items() if name not in context.stack.services]


def _networks(context: Context) -> list[tuple[str, str]]:
    """(key, full name) of the project's networks that the stack does not have."""
    wanted = {network.full_name for network in context.stack.networks.values()}
    return [
        (record.labels.get(labels.NETWORK, record.name), record.name)
        for record in context.observed.networks
        if record.name not in wanted and record.labels.get(labels.PROJECT) == context.stack.name
    ]
