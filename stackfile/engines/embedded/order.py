"""The order in which containers start again after a reboot: pure."""

from __future__ import annotations

from collections.abc import Sequence

from stackfile.engines.embedded.registry import Container


def dependencies(container: Container, candidates: Sequence[Container]) -> list[tuple[Container, str]]:
    """(container, condition) of what must be there before `container` may start.

    Only among `candidates`; a dependency that leads back to `container` is left out, so that nobody waits in a ring.
    """
    found = []
    for service, dependency in container.spec.depends_on.items():
        found += [
            (other, dependency.condition)
            for other in candidates
            if _place(other) == _wanted(container, service) and not _reaches(other, container, candidates, set())
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
        if any(_place(other) == _wanted(start, service) for service in start.spec.depends_on)
    )


def _place(container: Container) -> tuple[str, str]:
    return container.project, container.service


def _wanted(container: Container, service: str) -> tuple[str, str]:
    """(project, service) of a key of `depends_on`: STACK/SERVICE is another project's."""
    project, separator, name = service.partition("/")
    return (project, name) if separator else (container.project, service)
