"""What the engine remembers of the stacks that were applied."""

from __future__ import annotations

from stackfile import wire
from stackfile.engines.embedded.bus import Bus
from stackfile.errors import NotFoundError
from stackfile.model.observed import Project
from stackfile.store.state import StateStore


class Projects:
    """Projects by name."""

    def __init__(self, state: StateStore, bus: Bus) -> None:
        self._state = state
        self._bus = bus

    def get(self, name: str) -> Project | None:
        record = self._state.get_project(name)
        return wire.decode(record, Project) if record is not None else None

    def list(self) -> list[Project]:
        return [wire.decode(record, Project) for _, record in self._state.list_projects()]

    def put(self, project: Project) -> None:
        known = self._state.get_project(project.name) is not None
        self._state.put_project(project.name, wire.encode(project).decode())
        self._bus.publish("project", "update" if known else "create", project.name, {"name": project.name})

    def remove(self, name: str) -> None:
        """Raises NotFoundError."""
        if self._state.get_project(name) is None:
            raise NotFoundError("project", name)
        self._state.delete_project(name)
        self._bus.publish("project", "remove", name, {"name": name})
