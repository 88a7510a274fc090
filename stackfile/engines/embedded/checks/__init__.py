"""What the engine needs of kernel and machine, all of it at once: a file per kind of need, a row per finding.

Nothing here needs a running engine; what can only be seen by root is said to be unseen without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from stackfile.engines.embedded.checks import cgroups, kernel, limits, network, rights, storage
from stackfile.engines.embedded.checks.row import MISSING, OK, WARNING, Row
from stackfile.errors import StackfileError
from stackfile.settings import Settings

__all__ = ["MISSING", "OK", "WARNING", "Row", "machine"]

_KINDS: tuple[tuple[str, Callable[[Settings], Iterator[Row]]], ...] = (
    ("rights", rights.rows),
    ("kernel", kernel.rows),
    ("cgroups", cgroups.rows),
    ("storage", storage.rows),
    ("limits", limits.rows),
    ("network", network.rows),
)


def machine(settings: Settings) -> list[Row]:
    """Every finding about this machine, in the order in which one would look. Takes some 50 ms.

    The calling thread visits network namespaces of its own meanwhile.
    """
    found: list[Row] = []
    for name, rows in _KINDS:
        try:
            found.extend(rows(settings))
        except (OSError, StackfileError) as error:
            found.append((name, WARNING, f"could not be looked at: {error}", "look again as root"))
    return found
