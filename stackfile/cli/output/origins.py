"""Where each value of a stack was written, and through which values and variables it came."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stackfile.cli.output import addresses, table
from stackfile.model.stack import Origin, Stack


def of(stack: Stack, services: Collection[str]) -> dict[str, Origin]:
    """The origins of what is in the stack, by address and path; of `services` alone where there are any."""
    return {path: origin for path, origin in stack.origins.items() if _shown(stack, path.partition("/")[0], services)}


def _shown(stack: Stack, address: str, services: Collection[str]) -> bool:
    kind, name = addresses.kind(address), addresses.name(address)
    if services:
        return kind == "service" and name in services
    return kind != "service" or name in stack.services


def render(origins: Mapping[str, Origin]) -> str:
    """A line a value: what it is called, where it was written, and the steps behind that, the nearest first."""
    rows = [[path, str(origin.at), _steps(origin)] for path, origin in origins.items()]
    return table.render(["VALUE", "WRITTEN AT", "THROUGH"], rows)


def _steps(origin: Origin) -> str:
    return ", ".join(f"{via.name} ({via.at})" for via in origin.via)
