"""What a zygote has in memory: all that a command line may use, so that a worker imports and prepares nothing."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from stackfile import wire
from stackfile.api import Ping
from stackfile.model.container import ContainerRecord, ExecRecord
from stackfile.model.event import Event, JobEvent
from stackfile.model.image import ImageRecord
from stackfile.model.observed import Project
from stackfile.model.plan import Plan

_PACKAGES = ("cli", "api", "language", "wire", "model")
_DECODED = (Ping, Project, list[Project], ContainerRecord, list[ContainerRecord], ImageRecord, list[ImageRecord],
            ExecRecord, JobEvent, Event, Plan)  # fmt: skip
"""What the daemon answers."""


def warm() -> None:
    """Import all of it, and make what is made on first use."""
    for name in _PACKAGES:
        package = import_module(f"stackfile.{name}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(found.name)
    wire.prepare(*_DECODED)
