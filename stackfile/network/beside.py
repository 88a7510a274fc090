"""Our rules in the tables of all other firewalls: nftables' (firewall.py) and iptables-legacy's (legacy.py)."""

from __future__ import annotations

from collections.abc import Iterable

from stackfile.kernel.nftables import Family, Nftables
from stackfile.model.container import NetworkRecord
from stackfile.network import firewall, legacy, table


class Beside:
    """What one engine has to do with the other firewalls of this network namespace. Not thread-safe."""

    def __init__(self, kernel: Nftables, ours: str) -> None:
        """`ours` is our own table."""
        self._kernel = kernel
        self._ours = ours

    def pass_through(self, network: NetworkRecord) -> None:
        """Have what comes from the network's bridge or goes to it accepted where others drop. Idempotent."""
        firewall.pass_through(self._kernel, self._ours, network.interface, ipv6=network.has_ipv6)
        legacy.pass_through(self._ours, network.interface, ipv6=network.has_ipv6)

    def withdraw(self, bridge: str = "") -> None:
        """Remove our rules for a bridge, or for all of them."""
        firewall.withdraw(self._kernel, self._ours, bridge)
        legacy.withdraw(self._ours, bridge)

    def dropped_by(self, network: NetworkRecord) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Chains that drop the network's packets and have no rule of ours; and those of them that take none."""
        closed = firewall.closed_for(self._kernel, self._ours, network.interface, ipv6=network.has_ipv6)
        older = legacy.closed_for(self._ours, network.interface, ipv6=network.has_ipv6)
        return tuple(map(str, (*closed, *older))), tuple(str(barrier) for barrier in closed if barrier.sealed)

    def hindered(self, networks: Iterable[NetworkRecord]) -> list[NetworkRecord]:
        """Those of which another table drops packets, though it would take rules of ours, or has them where they no
        longer belong; one look for all."""
        modern = firewall.look(self._kernel, self._ours, ipv6=True)
        older = legacy.look(self._ours, ipv6=True)
        found = []
        for network in networks:
            closed = modern.closed_for(network.interface, ipv6=network.has_ipv6)
            wrong = not all(barrier.sealed for barrier in closed) or modern.astray(network.interface)
            if wrong or older.closed_for(network.interface, ipv6=network.has_ipv6):
                found.append(network)
        return found

    def guard(self, bridges: Iterable[str]) -> None:
        """Keep our containers from what is behind those bridges of others that let nobody in (see is_guarded).

        `bridges` are all of the others'.
        """
        if self._kernel.table_comment(Family.INET, self._ours) is None:
            return
        elements = self._kernel.elements(Family.INET, self._ours, "guarded")
        present = {element.key.rstrip(b"\0").decode() for element in elements}
        self._kernel.commit(table.guard(self._ours, present, set(filter(firewall.is_guarded, bridges))))
