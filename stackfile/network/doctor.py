"""What this machine offers to our networks, and what stands in their way."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """One line of `system doctor`. status: ok, warning, missing."""

    name: str
    status: str
    found: str
    mend: str
