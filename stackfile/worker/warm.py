"""What a zygote has in memory: every module that a command line may use, so that a worker imports nothing."""

from __future__ import annotations

import pkgutil
from importlib import import_module

_PACKAGES = ("cli", "api", "language", "wire", "model")


def warm() -> None:
    """Import all of it."""
    for name in _PACKAGES:
        package = import_module(f"stackfile.{name}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(found.name)
