"""Why a resource is what it is, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stackfile.cli.output import addresses, units
from stackfile.cli.output.plan import WORDS, change_text, place
from stackfile.model.plan import Action
from stackfile.model.stack import SECOND, Stack

if TYPE_CHECKING:
    from stackfile.api.history import LastChange

_PAST = {
    "create": "created", "update": "changed in place", "restart": "restarted", "recreate": "recreated",
    "start": "started", "stop": "stopped", "remove": "removed", "build": "built", "pull": "pulled",
    "generate": "generated",
}  # fmt: skip


def render(
    stack: Stack, address: str, last: LastChange | None, following: Sequence[Action], trouble: str, now_ns: int
) -> str:
    """Where it was written, what was done last, what comes next, and the image of a service."""
    lines = [f"{address}   {_written(stack, address)}".rstrip()]
    if last is not None:
        age = units.age((now_ns - last.time_ns) / SECOND)
        lines.append(f"{_PAST[last.action.action]} {age} ago by `{last.job}`{_why(last.action)}")
    if trouble:
        lines.append(f"next up: unknown ({trouble})")
    else:
        lines += [f"next up: {text}" for text in _next(following)]
    if image := _image(stack, address):
        lines.append(image)
    return "\n  ".join(lines)


def _written(stack: Stack, address: str) -> str:
    origin = stack.origins.get(address)
    parts = [place(origin, set())] if origin else []
    name = addresses.name(address)
    group = next((group for group, members in stack.groups.items() if name in members), "")
    if group and addresses.kind(address) == "service":
        parts.append(f"one of {group} (for_each)")
    return ", ".join(parts)


def _why(action: Action) -> str:
    texts = list(_reasons(action))
    return f": {'; '.join(texts)}" if texts else ""


def _reasons(action: Action) -> Iterator[str]:
    if action.cause is not None and (action.cause.detail or action.cause.kind not in ("file", "image")):
        yield action.cause.detail or action.cause.kind
    for change in action.changes:
        text = change_text(change)
        yield f"{text} ({place(change.cause.origin, set())})" if change.cause.origin else text


def _next(following: Sequence[Action]) -> Iterator[str]:
    if not following:
        yield "nothing"
    for action in following:
        yield f"{WORDS[action.action][1]}{_why(action)}"


def _image(stack: Stack, address: str) -> str:
    """The image of a service, and what it stands on."""
    service = stack.services.get(addresses.name(address)) if addresses.kind(address) == "service" else None
    if service is None:
        return ""
    image = stack.images.get(service.image) if service.image_is_stack_image else None
    if image is None:
        return f"image {service.image}"
    base = f", on {'image.' if image.base_is_stack_image else ''}{image.base}" if image.build is None else ""
    return f"image.{image.name}: {addresses.count(len(image.steps), 'step')}{base}"
