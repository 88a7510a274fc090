"""What is to be done about images, networks, volumes, configs and secrets: one function a kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from stackfile import wire
from stackfile.errors import NotFoundError, RefusedError
from stackfile.model import builtin
from stackfile.model.container import NetworkRecord
from stackfile.model.observed import Drift
from stackfile.model.plan import Action, Cause, Change, Note
from stackfile.model.stack import NetworkResource
from stackfile.reconcile import diff, services
from stackfile.reconcile import origins as places
from stackfile.reconcile.context import Context, Decision
from stackfile.reconcile.strategy import DROP, NONE, RECREATE

_NETWORK_FIELDS = ("driver", "internal", "attachable", "enable_ipv6", "options")
_NOT_MENDED = frozenset({"dropped_by"})
"""Facts of a network that making it anew does not change."""
_VOLUME_FIELDS = ("driver", "options")


def image(context: Context, name: str) -> Decision:
    """Built where a step is not cached or a name is lost. NotFoundError (`image-not-found`) when it may not be."""
    address = f"image.{name}"
    evaluation = context.observed.images.get(name)
    fresh = evaluation is not None and evaluation.fresh
    if not context.options.build:
        if not fresh:
            raise NotFoundError("image", name, reason="image-not-found", hint="build it: `stackfile build`")
        return Decision(address=address)
    if fresh and not context.options.force_build:
        return Decision(address=address)
    return Decision(address=address, actions=[_build(context, name)])


def _build(context: Context, name: str) -> Action:
    reason = services.image_reason(context, name)
    kind = "host-file" if reason.startswith("host: ") and "first build" not in reason else "image"
    evaluation = context.observed.images.get(name)
    missed = sum(not step.cached for step in evaluation.steps) if evaluation else 0
    detail = f"{missed} of {len(evaluation.steps)} steps" if evaluation else ""
    if not reason and evaluation is not None and evaluation.unnamed:
        kind, reason = "drift", f"lost its name {evaluation.unnamed[0]}"
        detail = reason
    elif not reason:
        kind, reason = "option", "--build"
    cause = Cause(kind=kind, origin=places.find(context.stack.origins, f"image.{name}", "steps"), detail=reason)
    return Action(id="", address=f"image.{name}", action="build", cause=cause, detail=detail)


def network(context: Context, name: str) -> Decision:
    """Created; where a field differs (or the kernel lost a part), made anew below its containers."""
    resource = context.stack.networks[name]
    address = f"network.{name}"
    record = next((item for item in context.observed.networks if item.name == resource.full_name), None)
    if record is None:
        if resource.external and resource.full_name in builtin.DRIVERS:
            return Decision(address=address)  # every engine has it
        if resource.external:
            raise _external(context, "network", address, resource.full_name)
        return Decision(address=address, actions=[_create(context, address)])
    if resource.external:
        return Decision(address=address)
    written = _as_written(record, resource)
    changes = list(_field_changes(context, address, written, resource, _network_fields(resource), DROP))
    if any(change.path == "/driver" for change in changes):
        _needs_yes(context, changes, f"network {name} would be made by another driver")
    drift = [item for item in context.observed.drift if item.address == address]
    changes += [services.drift_change(item) for item in drift if item.field not in _NOT_MENDED]
    decision = _update(address, changes)
    decision.notes = [_foreign(address, item) for item in drift if item.field in _NOT_MENDED]
    return decision


def _foreign(address: str, item: Drift) -> Note:
    """What somebody else does to the network, and only he can mend."""
    message = f"{item.field.replace('_', ' ')} {item.place}"
    return Note(code="network-hindered", severity="warning", address=address, message=message)


def _as_written(record: NetworkRecord, resource: NetworkResource) -> NetworkRecord:
    """The network without what the engine chose: subnets of a family of which the file has none, gateways."""
    families = {":" in subnet for subnet in resource.subnets}
    places = [number for number, subnet in enumerate(record.subnets) if (":" in subnet) in families]
    gateways = [record.gateways[number] if number < len(record.gateways) else "" for number in places]
    wanted = [*resource.gateways, *[""] * len(places)]
    return replace(
        record,
        subnets=tuple(record.subnets[number] for number in places),
        gateways=tuple(gateway if wanted[number] else "" for number, gateway in enumerate(gateways)),
    )


def _network_fields(resource: NetworkResource) -> Iterable[str]:
    """Subnets count only where the file says some: else the engine chose them."""
    return (*_NETWORK_FIELDS, *(key for key in ("subnets", "gateways") if getattr(resource, key)))


def volume(context: Context, name: str) -> Decision:
    """Created. Raises RefusedError (`needs-yes`) where a change would lose its data."""
    resource = context.stack.volumes[name]
    address = f"volume.{name}"
    record = next((item for item in context.observed.volumes if item.name == resource.full_name), None)
    if record is None:
        if resource.external:
            raise _external(context, "volume", address, resource.full_name)
        return Decision(address=address, actions=[_create(context, address)])
    if resource.external:
        return Decision(address=address)
    changes = tuple(_field_changes(context, address, record, resource, _VOLUME_FIELDS, RECREATE))
    if changes:
        _needs_yes(context, changes, f"volume {name} would be made anew and lose its data")
        action = Action(id="", address=address, action="recreate", changes=changes)
        context.note(action)
        return Decision(address=address, actions=[action])
    decision = _update(
        address, [services.drift_change(item) for item in context.observed.drift if item.address == address]
    )
    for action in decision.actions:
        context.note(action)
    return decision


def _needs_yes(context: Context, changes: Sequence[Change], message: str) -> None:
    """Raise RefusedError (`needs-yes`) unless the options allow it."""
    if context.options.yes:
        return
    fields = ", ".join(change.path[1:] for change in changes)
    raise RefusedError(
        "needs-yes",
        f"{message} ({fields} changed)",
        at=changes[0].cause.origin.at if changes[0].cause.origin else None,
        hint="-y does it",
    )


def config(context: Context, name: str) -> Decision:
    """Stored where its content (that of any replica) is not what was applied."""
    external = context.stack.configs[name].external
    return _others(context, "config", name, external) if external else _content(context, "config", name)


def secret(context: Context, name: str) -> Decision:
    """Generated once; stored where its content is not what was applied."""
    resource = context.stack.secrets[name]
    address = f"secret.{name}"
    if resource.external:
        return _others(context, "secret", name, resource.external)
    if resource.content is not None:
        return _content(context, "secret", name)
    if context.knowledge.keys.get(address):
        return Decision(address=address)
    return Decision(address=address, actions=[_create(context, address, "generate")])


def _others(context: Context, kind: str, name: str, full_name: str) -> Decision:
    """A config or secret of another stack: it must be there. Raises NotFoundError (`not-found`)."""
    address = f"{kind}.{name}"
    if not context.knowledge.keys.get(address):
        raise _external(context, kind, address, full_name)
    return Decision(address=address)


def _content(context: Context, kind: str, name: str) -> Decision:
    address = f"{kind}.{name}"
    wanted = contents(context.knowledge.keys, address)
    applied = contents(context.observed.project.keys, address) if context.observed.project else {}
    if not applied:
        return Decision(address=address, actions=[_create(context, address)])
    origin = places.find(context.stack.origins, address, "content")
    changes = [
        Change(
            path="/content" if key == address else f"/content/{diff.escape(key.partition('@')[2])}",
            before=applied.get(key),
            after=wanted[key] or diff.UNKNOWN,
            strategy=NONE,
            sensitive=kind == "secret",
            cause=Cause(kind="config-content", origin=origin),
        )
        for key in wanted
        if wanted[key] != applied.get(key)
    ]
    return _update(address, changes)


def contents(keys: dict[str, str], address: str) -> dict[str, str]:
    """HMACs of a config's or secret's contents: its own, and those that differ by replica."""
    return {key: value for key, value in keys.items() if key == address or key.startswith(f"{address}@")}


# ---------------------------------------------------------------- shared


def _create(context: Context, address: str, action: str = "create") -> Action:
    cause = Cause(kind="file", origin=places.find(context.stack.origins, address, ""))
    kind, _, name = address.partition(".")
    applied = context.observed.project.stack if context.observed.project else None
    if kind in ("network", "volume") and applied is not None and name in getattr(applied, f"{kind}s"):
        cause = replace(cause, kind="drift", detail="it was removed")
    return Action(id="", address=address, action=action, cause=cause)


def _update(address: str, changes: list[Change]) -> Decision:
    if not changes:
        return Decision(address=address)
    return Decision(address=address, actions=[Action(id="", address=address, action="update", changes=tuple(changes))])


def _field_changes(
    context: Context, address: str, before: Any, after: Any, names: Iterable[str], strategy: str
) -> Iterable[Change]:
    for name in names:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            origin = places.find(context.stack.origins, address, name)
            yield Change(
                path=f"/{name}",
                before=wire.compact(old),
                after=wire.compact(new),
                strategy=strategy,
                cause=Cause(kind="file", origin=origin),
            )


def _external(context: Context, kind: str, address: str, name: str) -> NotFoundError:
    origin = places.find(context.stack.origins, address, "external")
    return NotFoundError(
        kind, name, at=origin.at if origin else None, cause="it is external: this stack does not create it"
    )


DECIDE: dict[str, Callable[[Context, str], Decision]] = {
    "image": image,
    "network": network,
    "volume": volume,
    "config": config,
    "secret": secret,
}
