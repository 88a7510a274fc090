"""The build cache: which inputs gave which layer, and why a step is not in it.

step:<key>             what a step made (Made); the key says everything its result depends on
last:<image>#<index>   what the step at this place depended on when it was built last
files:<image>#<index>  digest by path of the files it read then
host:<key>             what a host step found, with the stats that keep it true
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from stackfile import digest as digests
from stackfile import wire
from stackfile.build.host.tree import RULES, HostTree
from stackfile.build.layer import Made
from stackfile.build.steps.base import Inputs
from stackfile.errors import ActionError
from stackfile.images import references
from stackfile.images.rows import ImageRows
from stackfile.model.stack import Step

T = TypeVar("T")
FIRST = "first build"

_FORMAT = 1
_TREES, _LASTS = 16, 2000
"""Rows that are held in memory; the others are read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """A step as it was built last. Parts are kept as digests: they may hold what should not lie about twice."""

    kind: str
    parent: str
    content: str = ""
    parts: dict[str, str] = field(default_factory=dict)


class BuildCache:
    """Rows of the build cache, those of this process in memory."""

    def __init__(self, rows: ImageRows) -> None:
        self._rows = rows
        self._trees: dict[str, HostTree] = {}
        self._lasts: dict[str, Last | None] = {}

    def recover(self) -> None:
        """At start: forget how images were built last that nobody has any more."""
        for key, _ in self._rows.list_cache():
            kind, _, place = key.partition(":")
            if kind in ("last", "files") and not self._is_tagged(place.rpartition("#")[0]):
                self._rows.delete_cache(key)

    # ---- results of steps

    def made(self, key: str) -> Made | None:
        """What a step with this key made."""
        row = self._rows.get_cache(f"step:{key}")
        return wire.decode(row, Made) if row is not None else None

    def put_made(self, key: str, made: Made) -> None:
        self._rows.put_cache(f"step:{key}", wire.encode(made).decode())

    # ---- why not

    def remember(self, place: str, last: Last, inputs: Inputs) -> None:
        """Note what the step at a place depended on. Nothing is written when it is what was noted."""
        if self._last(place) == last:
            return
        files = inputs.files()
        if files:
            self._rows.put_cache(f"files:{place}", wire.encode(files).decode())
        self._rows.put_cache(f"last:{place}", wire.encode(last).decode())
        _hold(self._lasts, place, last, _LASTS)

    def knows(self, place: str) -> bool:
        """Whether the step at a place was ever built."""
        return self._last(place) is not None

    def explain(self, place: str, last: Last, inputs: Inputs, below: str) -> str:
        """Why the step at `place` differs from its last build; "" when nothing does. `below` says it of what is
        below the step.
        """
        before = self._last(place)
        if before is None:
            return below if below == FIRST else "new step"
        if before.kind != last.kind:
            return f"was a {before.kind} step"
        part = _first_difference(before.parts, last.parts)
        if part:
            return part
        if before.content != last.content:
            return self._file(place, inputs)
        return below if before.parent != last.parent else ""

    def _file(self, place: str, inputs: Inputs) -> str:
        row = self._rows.get_cache(f"files:{place}")
        now = inputs.files()
        before: dict[str, str] = wire.decode(row, dict[str, str]) if row is not None else {}
        return _first_difference(before, now) if before and now else "its files changed"

    def _last(self, place: str) -> Last | None:
        if place in self._lasts:
            return self._lasts[place]
        row = self._rows.get_cache(f"last:{place}")
        return _hold(self._lasts, place, wire.decode(row, Last) if row is not None else None, _LASTS)

    def _is_tagged(self, image: str) -> bool:
        """Whether an image has this name, or the name before its last `/` (a stage of a Dockerfile comes after it)."""
        for name in (image, image.rpartition("/")[0]):
            try:
                if self._rows.get_tag(str(references.parse(name))):
                    return True
            except ActionError:
                continue  # with the stage it need not be a name at all
        return False

    # ---- host trees

    def tree(self, step: Step) -> HostTree | None:
        """What the host step found the last time, true or not."""
        key = _tree_key(step)
        if key in self._trees:
            return self._trees[key]
        row = self._rows.get_cache(f"host:{key}")
        return _hold(self._trees, key, wire.decode(row, HostTree), _TREES) if row is not None else None

    def put_tree(self, step: Step, tree: HostTree) -> None:
        key = _tree_key(step)
        _hold(self._trees, key, tree, _TREES)
        self._rows.put_cache(f"host:{key}", wire.encode(tree).decode())


def _hold(held: dict[str, T], key: str, value: T, most: int) -> T:
    if key not in held and len(held) >= most:
        del held[next(iter(held))]
    held[key] = value
    return value


def step_key(kind: str, chain_id: str, inputs: Inputs) -> str:
    """The key of a step's result: what is below it, what it says, and the content that it reads."""
    return digests.sha256(digests.canonical([_FORMAT, RULES, kind, chain_id, dict(inputs.parts), inputs.content]))


def last_of(kind: str, parent: str, inputs: Inputs) -> Last:
    """The note of a step."""
    parts = {name: digests.sha256(value.encode("utf-8", "surrogateescape")) for name, value in inputs.parts.items()}
    return Last(kind=kind, parent=parent, content=inputs.content, parts=parts)


def _first_difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if not differing:
        return ""
    name = min(differing)
    word = "changed" if name in before and name in now else "added" if name in now else "removed"
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"{name} {word}{more}"


def _tree_key(step: Step) -> str:
    named = [step.programs, step.paths, step.packages, step.users, step.exclude]
    return digests.sha256(digests.canonical([RULES, [list(names) for names in named], step.dependencies]))
