"""What a zygote has in memory: all that a command line may use, so that a worker imports and prepares nothing."""

from __future__ import annotations

import os
import pkgutil
from importlib import import_module

from stackfile import wire
from stackfile.api import Ping
from stackfile.cli import main as run_command
from stackfile.model.container import ContainerRecord, ExecRecord
from stackfile.model.event import Event, JobEvent
from stackfile.model.image import ImageRecord
from stackfile.model.observed import Project
from stackfile.model.plan import Plan

_PACKAGES = ("cli", "api", "language", "wire", "model")
_ON_FIRST_USE = ("termios", "tty")
"""What those import where they need it, as a process of its own would pay for it at every start."""
_DECODED = (Ping, Project, list[Project], ContainerRecord, list[ContainerRecord], ImageRecord, list[ImageRecord],
            ExecRecord, JobEvent, Event, Plan)  # fmt: skip
"""What the daemon answers."""


def touch() -> None:
    """Run what every command runs, unheard and without an engine: the pages it writes to are our own from then on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    kept = os.dup(1), os.dup(2)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for arguments in (["version"], ["-H", "unix:///dev/null/none", "ps"]):
        run_command(arguments)
    for number, fd in enumerate(kept, 1):
        os.dup2(fd, number)
        os.close(fd)
    os.close(nowhere)


def warm() -> None:
    """Import all of it, and make what is made on first use."""
    for name in _PACKAGES:
        package = import_module(f"stackfile.{name}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(found.name)
    for name in _ON_FIRST_USE:
        import_module(name)
    wire.prepare(*_DECODED)
