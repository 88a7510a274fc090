"""The `filters` parameter: `{"label": {"x": true}}` from the CLI, `{"label": ["x"]}` from docker-py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from stackfile.errors import ActionError

T = TypeVar("T")
Filters = dict[str, tuple[str, ...]]
Test = Callable[[T, str], bool]


def parse(text: str) -> Filters:
    """Filters by key; empty for an empty text. Raises ActionError (`bad-request`)."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ActionError("bad-request", "filters are not JSON", cause=str(error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ActionError("bad-request", "filters are not a JSON object")
    return {key: _values(key, given) for key, given in value.items()}


def _values(key: str, given: object) -> tuple[str, ...]:
    if isinstance(given, dict):
        return tuple(name for name, wanted in given.items() if wanted)
    if isinstance(given, list) and all(isinstance(item, str | bool | int) for item in given):
        return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in given)
    raise ActionError("bad-request", f"filter {key!r} is neither a list nor an object")


def select(things: Iterable[T], filters: Filters, tests: Mapping[str, Test[T]], every: Iterable[str] = ()) -> list[T]:
    """The things that pass each filter: any value of a key passes it, but all values of the keys in `every` must.

    Raises ActionError (`bad-request`) for a key without a test.
    """
    every = frozenset(every)
    for key in filters:
        if key not in tests:
            raise ActionError("bad-request", f"invalid filter {key!r}")
    chosen = []
    for thing in things:
        for key, values in filters.items():
            passes = (tests[key](thing, value) for value in values)
            if values and not (all(passes) if key in every else any(passes)):
                break
        else:
            chosen.append(thing)
    return chosen


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """`key` or `key=value`."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def is_true(value: str) -> bool:
    return value.lower() in ("1", "true", "t", "yes")
