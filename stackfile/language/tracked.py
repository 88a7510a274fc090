"""Data that templates see: maps that remember which of their values were read, and where those were written."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, ValuesView
from typing import Any

from stackfile.errors import Place, StackError
from stackfile.model.stack import Via

MAX_EXTENT = 100_000
"""Values inside one value."""

MAX_DEPTH = 64
"""Values that need each other in a row."""

Pending = Callable[[], tuple[Any, tuple[Via, ...]]]


class Reported(StackError):
    """A value that failed is used: its own mistake is reported already, this one is not."""


class Tracker:
    """Collects the steps through which a template's result came."""

    __slots__ = ("depth", "used")

    def __init__(self) -> None:
        self.depth = 0
        """Values that are being computed, each for the one before."""
        self.used: dict[Via, None] = {}

    def note(self, steps: tuple[Via, ...]) -> None:
        for step in steps:
            self.used[step] = None

    def take(self) -> tuple[Via, ...]:
        """What was noted since the last call."""
        used, self.used = tuple(self.used), {}
        return used


class TrackedMap(dict[str, Any]):
    """A map whose reads are noted. Values may be pending: they are computed at their first use.

    Raises StackError (values-cycle) when a value needs itself.
    """

    __slots__ = ("_busy", "_failed", "_pending", "_tracker", "own", "steps")

    def __init__(self, tracker: Tracker, own: tuple[Via, ...] = ()) -> None:
        super().__init__()
        self._tracker = tracker
        self._pending: dict[str, Pending] = {}
        self._busy: set[str] = set()
        self._failed: set[str] = set()
        self.own = own
        self.steps: dict[str, tuple[Via, ...]] = {}

    def put(self, key: str, value: Any, steps: tuple[Via, ...]) -> None:
        super().__setitem__(key, value)
        self.steps[key] = steps

    def put_pending(self, key: str, compute: Pending, steps: tuple[Via, ...]) -> None:
        self.put(key, None, steps)
        self._pending[key] = compute

    def resolve(self, key: str) -> None:
        """Compute a pending value now."""
        if key not in self._pending:
            return
        if key in self._busy:
            raise StackError("values-cycle", f"{self._name(key)} needs itself", at=self._place(key))
        if self._tracker.depth >= MAX_DEPTH:
            message = f"{self._name(key)} comes through more than {MAX_DEPTH} values"
            raise StackError("template-limit", message, at=self._place(key))
        self._busy.add(key)
        self._tracker.depth += 1
        before, self._tracker.used = self._tracker.used, {}
        try:
            value, steps = self._pending[key]()
            # Still busy: a value that contains itself is found here.
            if extent(value, {}) > MAX_EXTENT:
                raise StackError("template-limit", f"{self._name(key)} is too large", at=self._place(key))
        finally:
            self._busy.discard(key)
            self._tracker.depth -= 1
            self._tracker.used = before
        super().__setitem__(key, value)
        self.steps[key] = self.steps[key] + steps
        del self._pending[key]

    def _name(self, key: str) -> str:
        return self.steps[key][0].name if self.steps.get(key) else key

    def _place(self, key: str) -> Place | None:
        return self.steps[key][0].at if self.steps.get(key) else None

    def __getitem__(self, key: str) -> Any:
        if self._pending:
            self.resolve(key)
        if key in self._failed:
            raise Reported("template-failed", f"{self._name(key)} has no value", at=self._place(key))
        value = super().__getitem__(key)
        if not isinstance(value, TrackedMap):
            self._tracker.note(self.steps.get(key, ()))
        return value

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 (this is get)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        self.resolve_all()
        self._tracker.note(self.own)
        return super().items()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        self.resolve_all()
        self._tracker.note(self.own)
        return super().values()

    def give_up(self, key: str) -> None:
        """Mark a value that cannot be computed: reading it raises Reported."""
        self._pending.pop(key, None)
        self._failed.add(key)

    def resolve_all(self) -> None:
        for key in list(self._pending):
            self.resolve(key)


class Replica(dict[str, int]):
    """`replica` in templates. `read` tells which of index and count were looked at."""

    __slots__ = ("read",)

    def __init__(self, index: int, count: int) -> None:
        super().__init__(index=index, count=count)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> int:
        value = super().__getitem__(key)
        self.read.add(key)
        return value


def extent(value: Any, known: dict[int, int]) -> int:
    """Number of values inside, shared ones counted as often as they are used. Computes all that is pending."""
    if not isinstance(value, dict | list):
        return 1
    size = known.get(id(value))
    if size is None:
        if isinstance(value, TrackedMap):
            value.resolve_all()
        children = dict.values(value) if isinstance(value, dict) else value
        size = known[id(value)] = 1 + sum(extent(child, known) for child in children)
    return size


def plain(value: Any) -> Any:
    """A copy without tracking."""
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
