"""Saved plans: a plan with all that applying it needs, and the check that nothing it rests on has changed. Pure.

The document holds the wanted model (`desired.stack`), so that no file is evaluated again. Contents of secrets are not
in it: who applies a plan that stores one brings the content, which must have the HMAC that the plan names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackfile import wire
from stackfile.errors import RefusedError
from stackfile.model.observed import UpOptions
from stackfile.model.plan import Action, Plan
from stackfile.model.stack import ImageResource, SecretResource, Stack
from stackfile.reconcile import facts, record
from stackfile.reconcile.context import Context

HINT = "look at a new plan: `stackfile plan`"


def complete(plan: Plan, stack: Stack, inputs: Sequence[dict[str, str]]) -> Plan:
    """`plan` with the wanted model and the digests of what it was made from, and the digest of it all."""
    fingerprint = replace(plan.fingerprint, inputs=tuple(inputs))
    desired = {**plan.desired, "stack": wire.to_plain(record.without_contents(stack))}
    return digested(replace(plan, desired=desired, fingerprint=fingerprint))


def digested(plan: Plan) -> Plan:
    """`plan` with the digest of its document."""
    digest = wire.document_digest(wire.to_document(plan))
    return replace(plan, fingerprint=replace(plan.fingerprint, plan=digest))


def read(document: Mapping[str, Any]) -> tuple[Plan, Stack, UpOptions]:
    """The parts of a saved plan. Raises what `wire.read_plan` raises."""
    plan, stack = wire.read_plan(dict(document))
    return plan, stack, wire.from_plain(plan.options, UpOptions)


def with_contents(stack: Stack, secrets: Mapping[str, SecretResource]) -> Stack:
    """`stack` with the contents of those of its secrets that `secrets` has, for builds too."""
    known = {
        name: replace(item, content=secrets[name].content) if name in secrets else item
        for name, item in stack.secrets.items()
    }
    images = {name: _with_texts(image, known) for name, image in stack.images.items()}
    return replace(stack, secrets=known, images=images)


def _with_texts(image: ImageResource, secrets: Mapping[str, SecretResource]) -> ImageResource:
    if image.build is None or not image.build.secrets:
        return image
    texts = {
        identity: "".join(part for part in secrets[name].content or () if isinstance(part, str))
        for identity, name in image.build.secrets.items()
        if name in secrets and secrets[name].content is not None
    }
    return replace(image, build=replace(image.build, secret_texts=texts))


def check(saved: Plan, made: Plan, context: Context) -> None:
    """Raise RefusedError (`stale-plan`) unless `made`, the plan of this moment, is the saved one."""
    if saved.engine != made.engine:
        raise _stale(["it was made for another engine"])
    found = facts.differences(saved.observed, facts.of(context, saved.observed))
    found = found or _desired(saved.desired["resources"], made.desired["resources"])
    if not found and saved.fingerprint.generation != made.fingerprint.generation:
        was, now = saved.fingerprint.generation, made.fingerprint.generation
        found = [f"the project was changed in between: generation {was}, now {now}"]
    if not found and (_essence(saved.actions) != _essence(made.actions)):
        found = _actions(saved.actions, made.actions)
    if found:
        raise _stale(found)


def _desired(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = [address for address in dict.fromkeys((*before, *now)) if before.get(address) != now.get(address)]
    return [f"{address}: what is wanted of it is not what was planned" for address in names]


def _actions(before: Sequence[Action], now: Sequence[Action]) -> list[str]:
    old = {action.address: action.action for action in before}
    new = {action.address: action.action for action in now}
    addresses = [address for address in dict.fromkeys((*old, *new)) if old.get(address) != new.get(address)]
    named = [f"{address}: {old.get(address, 'nothing')} planned, now {new.get(address, 'nothing')}"
             for address in addresses]  # fmt: skip
    return named or ["other changes are needed now"]


def _essence(actions: Iterable[Action]) -> list[tuple[object, ...]]:
    """What an action does, without why and where it was written."""
    return [
        (
            action.address,
            action.action,
            action.instances,
            [(change.path, wire.to_plain(change.after), change.strategy, change.signal) for change in action.changes],
        )
        for action in actions
    ]


def _stale(found: Sequence[str]) -> RefusedError:
    return RefusedError(
        "stale-plan",
        "the plan is stale: " + "; ".join(found),
        hint=HINT,
        details={"differences": list(found)},
    )
