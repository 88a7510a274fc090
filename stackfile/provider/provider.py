"""The Provider protocol: a stack's resources, above any engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from stackfile.model.event import JobEvent
from stackfile.model.observed import Observed, UpOptions
from stackfile.model.plan import Action
from stackfile.model.stack import Stack

Emit = Callable[[JobEvent], None]


class Provider(Protocol):
    """What the reconciler drives."""

    def capabilities(self) -> Mapping[str, str]:
        """Service key → strategy by which a change of it is applied (the change table of this engine)."""
        ...

    async def observe(self, name: str, stack: Stack | None) -> Observed:
        """Everything of project `name`; with `stack`, also what its images and contents would be."""
        ...

    async def execute(self, action: Action, stack: Stack, options: UpOptions, emit: Emit) -> str:
        """Do one action. Returns the word for a person ('created', 'built', 'healthy'). Idempotent."""
        ...
