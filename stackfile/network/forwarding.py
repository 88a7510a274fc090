"""net.ipv4.ip_forward: on while we have networks, and as it was before when we have none.

The old value waits in the journal as an open intent for as long as the change lasts.
"""

from __future__ import annotations

from collections.abc import Iterable

from stackfile.network import sysctl
from stackfile.network.journal import Intent, Journal

KIND = "network.forwarding"


def enable(journal: Journal, foreign_bridges: Iterable[str]) -> None:
    """Switch forwarding on, unless it is; remember that it was off and which bridges of others existed then."""
    if sysctl.read(sysctl.FORWARD) == "1":
        return
    if not _open(journal):
        journal.begin(KIND, sysctl.FORWARD, {"old": "0", "bridges": " ".join(sorted(foreign_bridges))})
    sysctl.write(sysctl.FORWARD, "1")


def restore(journal: Journal, foreign_bridges: Iterable[str]) -> None:
    """Put the old value back.

    A bridge of others that came in between belongs to somebody who found forwarding on and relies on it: then it
    stays on.
    """
    for intent in _open(journal):
        if set(foreign_bridges) <= set(intent.data["bridges"].split()):
            sysctl.write(sysctl.FORWARD, intent.data["old"])
        journal.done(intent.id)


def _open(journal: Journal) -> list[Intent]:
    return [intent for intent in journal.entries() if intent.kind == KIND]
