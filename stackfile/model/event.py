"""What happened: engine events and the progress of a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the engine's bus. `sequence` is strictly increasing and stored: readers resume without gap."""

    sequence: int
    time_ns: int
    kind: str
    """container, image, network, volume, project, daemon."""
    action: str
    """Docker's word: create, start, die, stop, destroy, health_status: healthy, …"""
    id: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One line of a job's stream.

    type       fields
    job        id of the job; first line of every stream (attributes.kind, attributes.project)
    waiting    message: whose lock is awaited
    plan       plan: the plan that is about to be applied
    action     address, action, status, detail, seconds, error
    log        address, message: a line of a build step or of a failed container
    note       message, code, severity
    end        status: done, failed, cancelled; error; result
    """

    sequence: int
    type: str
    time_ns: int = 0
    id: str = ""
    address: str = ""
    action: str = ""
    status: str = ""
    """Of an action: started, waiting, progress, done, failed, skipped."""
    word: str = ""
    """For a person: created, built, healthy, running, removed, …"""
    detail: str = ""
    seconds: float = 0.0
    message: str = ""
    code: str = ""
    severity: str = ""
    error: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    attributes: dict[str, str] = field(default_factory=dict)
