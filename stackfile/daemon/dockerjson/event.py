"""Events of the stream `events`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackfile.daemon.dockerjson import filters
from stackfile.daemon.dockerjson.filters import Filters
from stackfile.model.event import Event


def encode(event: Event) -> dict[str, Any]:
    """An event; `status`, `id` and `from` are what older clients read."""
    encoded: dict[str, Any] = {
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(event.attributes)},
        "scope": "local",
        "time": event.time_ns // 10**9,
        "timeNano": event.time_ns,
    }
    if event.kind in ("container", "image"):
        encoded |= {"status": event.action, "id": event.id}
    if event.kind == "container" and "image" in event.attributes:
        encoded["from"] = event.attributes["image"]
    return encoded


def _names(event: Event, value: str) -> bool:
    return event.id.startswith(value) or event.attributes.get("name") == value


def _of(kind: str) -> Callable[[Event, str], bool]:
    return lambda event, value: event.kind == kind and _names(event, value)


def _action(event: Event, value: str) -> bool:
    # `health_status: healthy` passes for `health_status` too.
    return event.action == value or event.action.startswith(f"{value}:")


_TESTS: dict[str, Callable[[Event, str], bool]] = {
    "type": lambda event, value: event.kind == value,
    "event": _action,
    "label": lambda event, value: filters.has_label(event.attributes, value),
    "container": _of("container"),
    "image": lambda event, value: (
        event.attributes.get("image") == value or (event.kind == "image" and _names(event, value))
    ),
    "network": _of("network"),
    "volume": _of("volume"),
    "daemon": _of("daemon"),
    "scope": lambda event, value: value == "local",
}


def passes(event: Event, wanted: Filters) -> bool:
    """Whether an event is one that was asked for."""
    return bool(filters.select([event], wanted, _TESTS, every=("label",)))
