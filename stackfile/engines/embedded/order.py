"""The order in which containers start again after a reboot: pure."""

from __future__ import annotations

from collections.abc import Sequence

from stackfile.engines.embedded.registry import Container


def dependencies(container: Container, candidates: Sequence[Container]) -> list[tuple[Container, str]]:
    """(container, condition) of what must be there before `container` may start: same project, named services.

    Only among `candidates`; a dependency that leads back to `container` is left out, so that nobody waits in a ring.
    """
    found = []
    for service, dependency in container.spec.depends_on.items():
        found += [
            (other, dependency.condition)
            for other in candidates
            if other.project == container.project
            and other.service == service
            and not _reaches(other, container, candidates, set())
        ]
    return found


def _reaches(start: Container, goal: Container, candidates: Sequence[Container], seen: set[str]) -> bool:
    if start is goal:
        return True
    if start.id in seen:
        return False
    seen.add(start.id)
    return any(
        _reaches(other, goal, candidates, seen)
        for other in candidates
        if other.project == start.project and other.service in start.spec.depends_on
    )
