"""When to look after our rules: others changed theirs, or took our table away together with theirs.

Who loads a firewall anew (Docker's restart, `ufw reload`, `nft -f`) drops what we have in it. Who deletes our table
alone means it: that is drift, which `drift` shows and `up` repairs.
"""

from __future__ import annotations

from enum import IntEnum

from stackfile.kernel.nftables import RuleEvents


class Disturbance(IntEnum):
    """What others did: nothing, something with their rules, or that and away with our table in one transaction."""

    NONE = 0
    RULES = 1
    SWEPT = 2


class RuleWatch:
    """Wakes who watches `fileno()`; belongs to the namespace of the thread that makes it."""

    def __init__(self, ours: str) -> None:
        """`ours` is our own table. Raises KernelError."""
        self._ours = ours
        self._events = RuleEvents()

    def fileno(self) -> int:
        return self._events.fileno()

    def close(self) -> None:
        self._events.close()

    def read(self) -> Disturbance:
        """The worst of what happened since the last call."""
        transactions = self._events.read()
        if transactions is None:
            return Disturbance.RULES
        found = Disturbance.NONE
        for one in transactions:
            if one.changed - {self._ours}:
                swept = self._ours in one.deleted
                found = max(found, Disturbance.SWEPT if swept else Disturbance.RULES)
        return found
