"""What a plan rests on: facts of the resources that its actions name and of their direct dependencies. Pure.

No pid, uptime, health or statistics: those change while nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from stackfile import wire
from stackfile.model.plan import Action
from stackfile.reconcile.context import Context, number

_GONE = object()


def concerned(context: Context, actions: Sequence[Action]) -> set[str]:
    """Addresses that the actions name, and their direct dependencies."""
    addresses = {action.address for action in actions}
    for address in tuple(addresses):
        if address in context.graph:
            addresses.update(context.graph.successors(address))
    return addresses


def of(context: Context, addresses: Iterable[str]) -> dict[str, Any]:
    """Facts by address, as plain data."""
    found = {}
    for address in sorted(addresses):
        kind, _, name = address.partition(".")
        facts = _FACTS[kind](context, name)
        drift = [
            [item.container, item.field, item.actual] for item in context.observed.drift if item.address == address
        ]
        found[address] = {**facts, "drift": sorted(drift)} if drift else facts
    return found


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not as it was, a line each, for a person."""
    found = []
    for address in dict.fromkeys((*before, *now)):
        found += [f"{address}: {text}" for text in _compare("", before.get(address, {}), now.get(address, {}))]
    return found


def _service(context: Context, name: str) -> dict[str, Any]:
    containers = {
        record.id: {
            "index": number(record),
            "spec": wire.spec_hash(record.spec),
            "running": record.state.running,
        }
        for record in context.containers.get(name, ())
    }
    service = context.stack.services.get(name)
    if service is None or service.image_is_stack_image:
        return {"containers": containers}
    return {"containers": containers, "image": context.knowledge.image(service)}


def _image(context: Context, name: str) -> dict[str, Any]:
    evaluation = context.observed.images.get(name)
    if evaluation is None:
        return {}
    steps = [step.key for step in evaluation.steps if step.key]
    return {"image": evaluation.image, "steps": wire.spec_hash(steps) if steps else ""}


def _network(context: Context, name: str) -> dict[str, Any]:
    resource = context.stack.networks.get(name)
    wanted = resource.full_name if resource else f"{context.stack.name}_{name}"
    record = next((item for item in context.observed.networks if item.name == wanted), None)
    return {"id": record.id} if record else {}


def _volume(context: Context, name: str) -> dict[str, Any]:
    resource = context.stack.volumes.get(name)
    wanted = resource.full_name if resource else f"{context.stack.name}_{name}"
    record = next((item for item in context.observed.volumes if item.name == wanted), None)
    return {"created": record.created} if record else {}


def _content(context: Context, address: str) -> dict[str, Any]:
    applied = context.observed.project.keys if context.observed.project else {}
    return {key: applied[key] for key in sorted(applied) if key == address or key.startswith(f"{address}@")}


_FACTS: dict[str, Callable[[Context, str], dict[str, Any]]] = {
    "service": _service,
    "image": _image,
    "network": _network,
    "volume": _volume,
    "config": lambda context, name: _content(context, f"config.{name}"),
    "secret": lambda context, name: _content(context, f"secret.{name}"),
}


def _compare(path: str, before: Any, now: Any) -> Iterable[str]:
    if before == now:
        return
    if not isinstance(before, dict) or not isinstance(now, dict):
        yield f"{path or 'it'} was {_shown(before)}, is {_shown(now)}"
        return
    for key in dict.fromkeys((*before, *now)):
        was, value = before.get(key, _GONE), now.get(key, _GONE)
        name = f"{path} {_short(key)}".strip()
        if was is _GONE:
            yield f"{name} is new"
        elif value is _GONE:
            yield f"{name} is gone"
        else:
            yield from _compare(name, was, value)


def _short(key: str) -> str:
    """Ids of containers as they are usually shown."""
    return {"containers": "container", "spec": "definition"}.get(key, key[:12] if len(key) == 64 else key)


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 24 else f"{text[:24]}…"
