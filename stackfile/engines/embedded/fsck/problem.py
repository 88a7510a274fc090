"""What a look finds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec

P = ParamSpec("P")

Repair = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Problem:
    """A disagreement. `repair` raises StackfileError or OSError where it fails; without one `mend` is for a person."""

    reason: str
    subject: str
    found: str
    mend: str
    repair: Repair | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same as that of another look."""
        return self.reason, self.subject


def at_once(function: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> Repair:
    """A repair that is one call and takes no time."""

    async def repair() -> None:
        function(*arguments, **named)

    return repair
