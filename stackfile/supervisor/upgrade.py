"""Becoming another version by execve(2): pid, children and the flag of a subreaper stay, descriptors go along.

What the program has to know is JSON in a memfd whose number it is told (`--resume N`). Newer versions read it than the
one that writes it: fields are added, never changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A supervisor's state. Numbers of descriptors are those of the process, which stays the same."""

    lock: int
    listener: int
    clients: list[int] = field(default_factory=list)
    held: dict[str, list[int]] = field(default_factory=dict)
    ends: list[list[int]] = field(default_factory=list)
    """Ends of orphans: pid, start time, wait status, time (ns since the epoch)."""
    children: dict[str, list[int]] = field(default_factory=dict)
    """By name those that are children for the kernel too: pid, start (ns since the epoch)."""
    groups: list[str] = field(default_factory=list)
    """Cgroups of the engine's processes, to be removed at the end."""
    started: int = 0
    """When this process began, ns since the epoch."""

    @classmethod
    def read(cls, descriptor: int) -> Self:
        """What was handed over; the descriptors are not inherited by children any more. Raises OSError, ValueError."""
        with os.fdopen(descriptor, "rb") as file:
            file.seek(0)
            given = json.load(file)
        known = {each.name for each in fields(cls)}
        made = cls(**{name: value for name, value in given.items() if name in known})
        for number in made._descriptors():
            os.set_inheritable(number, False)
        return made

    def execute(self, program: Sequence[str]) -> None:
        """Become `program` (an interpreter with its options). Raises OSError where that is not possible."""
        state = os.memfd_create("supervisor", 0)  # inherited
        try:
            os.write(state, json.dumps(asdict(self)).encode())
            for number in self._descriptors():
                os.set_inheritable(number, True)
            os.execve(program[0], [*program, "-m", "stackfile.supervisor", "--resume", str(state)], os.environ)
        finally:
            for number in self._descriptors():
                os.set_inheritable(number, False)
            os.close(state)

    def _descriptors(self) -> Iterator[int]:
        yield self.lock
        yield self.listener
        yield from self.clients
        for numbers in self.held.values():
            yield from numbers
