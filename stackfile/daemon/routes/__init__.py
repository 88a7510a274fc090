"""HTTP resources, a file each. A new one is a module here with a `table`; nothing else changes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

from stackfile.daemon.routing import Route, Table


@cache
def find() -> tuple[Route, ...]:
    """The routes of every module of this package."""
    return tuple(_routes())


def _routes() -> Iterator[Route]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        table = getattr(importlib.import_module(f"{__name__}.{module.name}"), "table", None)
        assert isinstance(table, Table), f"routes.{module.name} has no table"
        yield from table.routes
