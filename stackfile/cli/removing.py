"""What rm and prune of volumes, networks and containers have in common."""

from __future__ import annotations

from typing import Any

from stackfile.cli.arguments import Arguments, Option, option
from stackfile.cli.context import Context
from stackfile.cli.output import units
from stackfile.cli.output.addresses import count
from stackfile.errors import RefusedError

YES: Option = option("-y --yes", "do it; without, only what would be done is told", also="--force -f")


def needs_yes(arguments: Arguments, what: str, names: list[str]) -> None:
    """Raises RefusedError (`needs-yes`) naming what would go, unless -y is given."""
    if names and not arguments.flag("yes"):
        raise RefusedError("needs-yes", f"this removes {what}", cause=", ".join(names), hint="-y does it")


def report(context: Context, noun: str, names: list[str], space: int = 0) -> None:
    """What is gone."""
    console = context.console
    if console.json:
        document: dict[str, Any] = {"removed": names}
        console.document({**document, "bytes": space} if space else document)
        return
    for name in names:
        console.say(name)
    freed = f"; {units.size(space)} free again" if space else ""
    console.say(f"{count(len(names), noun)} removed{freed}.")
