"""`down`: what a project has, taken away in the reverse of its dependencies. Needs no stack file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stackfile.model import labels
from stackfile.model.container import ContainerRecord
from stackfile.model.observed import DownOptions, Observed
from stackfile.model.plan import Action, Disruption, Instance
from stackfile.reconcile import selection
from stackfile.reconcile.context import Decision, number
from stackfile.reconcile.plan import Draft


def containers(observed: Observed) -> dict[str, list[ContainerRecord]]:
    """All containers of the project by service, one-off ones too; those of no service under ""."""
    found: dict[str, list[ContainerRecord]] = {}
    for record in observed.containers:
        found.setdefault(record.spec.labels.get(labels.SERVICE, ""), []).append(record)
    return found


def dependents(found: Mapping[str, Sequence[ContainerRecord]]) -> dict[str, set[str]]:
    """Service → services that depend on it, as their containers say."""
    result: dict[str, set[str]] = {name: set() for name in found}
    for name, records in found.items():
        for record in records:
            for target in record.spec.depends_on:
                if target in result and target != name:
                    result[target].add(name)
    return result


def actions(observed: Observed, options: DownOptions) -> tuple[Action, ...]:
    """Removal of containers (dependents first), then networks, then what the options ask for.

    Raises UsageError (`no-such-service`).
    """
    found = containers(observed)
    stack = observed.project.stack if observed.project else None
    known = dict.fromkeys((*found, *(stack.services if stack else ())))
    chosen = set(selection.expand(options.services, known, stack.groups if stack else {}))
    draft = Draft()
    _services(draft, {name: records for name, records in found.items() if name in chosen})
    if options.services:
        return tuple(draft.actions)
    ids = [action.id for action in draft.actions]
    for record in observed.networks:
        if _owned(observed, record.labels):
            draft.add(_remove("network", record.labels.get(labels.NETWORK, record.name), record.name), ids)
    if options.volumes:
        _data(draft, observed, ids)
    if options.rmi:
        for ref in images(observed, options.rmi):
            draft.add(_remove("image", ref, ref), ids)
    return tuple(draft.actions)


def images(observed: Observed, which: str) -> list[str]:
    """References to remove: `local` those that the stack built, `all` those of its services too."""
    stack = observed.project.stack if observed.project else None
    built = [tag for image in stack.images.values() for tag in image.tags] if stack else []
    used = [service.image for service in stack.services.values() if not service.image_is_stack_image] if stack else []
    return list(dict.fromkeys((*built, *(used if which == "all" else ()))))


def _services(draft: Draft, found: Mapping[str, Sequence[ContainerRecord]]) -> None:
    above = dependents(found)
    pending = list(found)
    while pending:
        # A cycle cannot come from a stack; should labels claim one, the first of it goes first.
        name = next((item for item in pending if not above[item] & set(pending)), pending[0])
        pending.remove(name)
        instances = tuple(Instance(index=number(record), container=record.id) for record in found[name])
        address = f"service.{name}"
        action = Action(
            id="",
            address=address,
            action="remove",
            instances=instances,
            disruption=Disruption(interrupts=True, grace_seconds=10, loses_writable_layer=True),
        )
        after = [identity for item in sorted(above[name]) for identity in draft.by_address.get(f"service.{item}", ())]
        draft.add(Decision(address=address, actions=[action]), after)


def _data(draft: Draft, observed: Observed, after: Iterable[str]) -> None:
    """Volumes, secrets and configs."""
    ids = list(after)
    for record in observed.volumes:
        if _owned(observed, record.labels):
            draft.add(_remove("volume", record.labels.get(labels.VOLUME, record.name), record.name), ids)
    keys = observed.project.keys if observed.project else {}
    for address in dict.fromkeys(key.partition("@")[0] for key in keys):
        kind, _, name = address.partition(".")
        draft.add(_remove(kind, name, name), ids)


def _owned(observed: Observed, marks: Mapping[str, str]) -> bool:
    """External networks and volumes are seen, but another's."""
    return observed.project is None or marks.get(labels.PROJECT) == observed.project.name


def _remove(kind: str, name: str, detail: str) -> Decision:
    address = f"{kind}.{name}"
    return Decision(address=address, actions=[Action(id="", address=address, action="remove", detail=detail)])
