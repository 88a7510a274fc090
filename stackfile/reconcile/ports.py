"""Host ports that go from one service to another: who takes comes after who gives. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from stackfile.model.plan import Action
from stackfile.model.stack import Port
from stackfile.reconcile.context import Context

Key = tuple[str, int]


def in_turn(context: Context, actions: Sequence[Action]) -> list[Action]:
    """The actions, with those edges added that no cycle forbids."""
    givers = _givers(context, actions)
    result = {action.id: action for action in actions}
    for action in actions:
        name = action.address.partition(".")[2]
        if not action.address.startswith("service.") or name not in context.stack.services:
            continue
        for key in _keys(context.stack.services[name].ports):
            for giver in givers.get(key, ()):
                if giver.address != action.address and not _follows(result, giver.id, action.id):
                    after = tuple(dict.fromkeys((*result[action.id].after, giver.id)))
                    result[action.id] = replace(result[action.id], after=after)
    return list(result.values())


def _givers(context: Context, actions: Sequence[Action]) -> dict[Key, list[Action]]:
    """Actions that free a host port: of services whose containers have one that the stack no longer gives them."""
    found: dict[Key, list[Action]] = {}
    for action in actions:
        kind, _, name = action.address.partition(".")
        if kind != "service":
            continue
        service = context.stack.services.get(name)
        wanted = set(_keys(service.ports)) if service else set()
        held = {key for record in context.containers.get(name, ()) for key in _keys(record.spec.ports)}
        for key in held - wanted:
            found.setdefault(key, []).append(action)
    return found


def _keys(ports: Iterable[Port]) -> list[Key]:
    """Fixed host ports, none of a range; addresses are left aside, since one for all overlaps every other."""
    return [(port.protocol, port.published) for port in ports if port.published and not port.published_last]


def _follows(actions: dict[str, Action], identity: str, other: str) -> bool:
    """Whether `identity` comes after `other`."""
    pending, seen = [identity], set()
    while pending:
        current = pending.pop()
        if current == other:
            return True
        if current not in seen:
            seen.add(current)
            pending += actions[current].after
    return False
