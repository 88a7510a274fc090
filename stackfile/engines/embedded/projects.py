"""What the engine remembers of the stacks that were applied."""

from __future__ import annotations

from stackfile import wire
from stackfile.engines.embedded.bus import Bus
from stackfile.errors import NotFoundError
from stackfile.model.observed import Project
from stackfile.store.state import StateStore


class Projects:
    """Projects by name. Kept in memory too: each command asks for them, and a large stack takes long to decode."""

    def __init__(self, state: StateStore, bus: Bus) -> None:
        self._state = state
        self._bus = bus
        self._known: dict[str, Project] | None = None

    def get(self, name: str) -> Project | None:
        return self._all().get(name)

    def list(self) -> list[Project]:
        known = self._all()
        return [known[name] for name in sorted(known)]

    def put(self, project: Project) -> None:
        known = project.name in self._all()
        self._state.put_project(project.name, wire.encode(project).decode())
        self._all()[project.name] = project
        self._bus.publish("project", "update" if known else "create", project.name, {"name": project.name})

    def remove(self, name: str) -> None:
        """Raises NotFoundError."""
        if name not in self._all():
            raise NotFoundError("project", name)
        self._state.delete_project(name)
        del self._all()[name]
        self._bus.publish("project", "remove", name, {"name": name})

    def _all(self) -> dict[str, Project]:
        if self._known is None:
            self._known = {name: wire.decode(record, Project) for name, record in self._state.list_projects()}
        return self._known
