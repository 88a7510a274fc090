"""Versions of the package, in their order."""

from __future__ import annotations


def number(version: str) -> tuple[int, ...]:
    """What two versions are compared by: `1.10.0` is above `1.9`."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())
