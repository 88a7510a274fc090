"""Plans: typed actions in dependency order, each with its cause."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stackfile.model.stack import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why. kind: file, value, image, host-file, config-content, dependency, drift, orphan, option."""

    kind: str
    origin: Origin | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs. `path` is a JSON pointer in the resource; secret values never appear."""

    path: str
    before: Any
    after: Any
    strategy: str
    """none, record, in-place, drop-connections, restart, recreate, signal."""
    cause: Cause
    sensitive: bool = False
    signal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A container that an action touches: replica index and, where it exists, its id."""

    index: int
    container: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disruption:
    interrupts: bool = False
    grace_seconds: int = 0
    loses_writable_layer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One step of a plan.

    action: create, update, restart, recreate, start, stop, kill, remove, build, pull, generate, keep
    `address` is `<kind>.<name>`; kind: image, network, volume, config, secret, service.
    """

    id: str
    address: str
    action: str
    after: tuple[str, ...] = ()
    """Ids of the actions that must be done first."""
    instances: tuple[Instance, ...] = ()
    changes: tuple[Change, ...] = ()
    cause: Cause | None = None
    disruption: Disruption = Disruption()
    before_spec: str = ""
    after_spec: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something the reader of a plan should know. severity: info, warning."""

    code: str
    severity: str
    message: str
    address: str = ""
    path: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    create: int = 0
    update: int = 0
    restart: int = 0
    recreate: int = 0
    start: int = 0
    stop: int = 0
    remove: int = 0
    unchanged: int = 0

    @property
    def changes(self) -> int:
        return self.create + self.update + self.restart + self.recreate + self.start + self.stop + self.remove


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    plan: str = ""
    desired: str = ""
    observed: str = ""
    inputs: tuple[dict[str, str], ...] = ()
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan (`stackfile.plan/v1`). `kept` names what is there and stays though the file does not ask for it."""

    format: str = "stackfile.plan/v1"
    generator: str = ""
    created: str = ""
    project: str = ""
    environment: str = ""
    engine: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    fingerprint: Fingerprint = Fingerprint()
    actions: tuple[Action, ...] = ()
    unchanged: tuple[str, ...] = ()
    """Addresses that stay as they are."""
    unknown: tuple[dict[str, str], ...] = ()
    kept: tuple[dict[str, str], ...] = ()
    notes: tuple[Note, ...] = ()
    desired: dict[str, Any] = field(default_factory=dict)
    """`resources`: address → hash of what is wanted; `stack`: the wanted model, in a saved plan."""
    observed: dict[str, Any] = field(default_factory=dict)
    """Address → facts of what the actions name and of its direct dependencies."""
    summary: Summary = Summary()
    signature: str | None = None
