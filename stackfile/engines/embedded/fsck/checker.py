"""Looks at everything, again until it is sure, and repairs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from stackfile.engines.embedded.fsck.problem import Problem
from stackfile.errors import StackfileError
from stackfile.model.observed import Fault
from stackfile.provider.engine import Progress

Look = Callable[[], Awaitable[list[Problem]]]

_LOOKS = 3
"""How often a problem must be seen: containers, jobs and clean-ups are under way meanwhile."""
_PAUSE = 0.3
"""Seconds between two looks."""
_ROUNDS = 4
"""How often what a repair brought to light is repaired as well."""


class Checker:
    """One check. `looks` are named after what they look at, in the order in which repairs depend on each other."""

    def __init__(self, looks: Sequence[tuple[str, Look]], progress: Progress) -> None:
        self._looks = looks
        self._progress = progress

    async def check(self, *, repair: bool) -> list[Fault]:
        """Every fault, with `repair` those that are mended among them."""
        faults: dict[tuple[str, str], Fault] = {}
        for _ in range(_ROUNDS if repair else 1):
            problems = await self._certain()
            present = {problem.key for problem in problems}
            for key, fault in faults.items():
                faults[key] = replace(fault, mended=key not in present)
            fresh = [problem for problem in problems if problem.key not in faults]
            for problem in fresh:
                failed = await self._repair(problem) if repair else ""
                faults[problem.key] = _fault(problem, failed)
            if not fresh:
                break
        return list(faults.values())

    async def _repair(self, problem: Problem) -> str:
        """Why it failed; "" where it did not, or where there is nothing to be done by us."""
        if problem.repair is None:
            return problem.mend
        self._progress(f"mending {problem.subject}")
        try:
            await problem.repair()
        except (StackfileError, OSError) as error:
            return str(error)
        return ""

    async def _certain(self) -> list[Problem]:
        """What every one of several looks saw."""
        seen: dict[str, list[Problem]] = {}
        for name, look in self._looks:
            self._progress(f"looking at {name}")
            if problems := await look():
                seen[name] = problems
        for _ in range(_LOOKS - 1):
            if not seen:
                break
            await asyncio.sleep(_PAUSE)
            for name, look in self._looks:
                if name in seen:
                    present = {problem.key: problem for problem in await look()}
                    seen[name] = [present[problem.key] for problem in seen[name] if problem.key in present]
        return [problem for name, _ in self._looks for problem in seen.get(name, ())]


def _fault(problem: Problem, failed: str) -> Fault:
    return Fault(reason=problem.reason, subject=problem.subject, found=problem.found, mend=problem.mend, failed=failed)
