"""Living beside other firewalls: accept rules of ours where another table drops forwarded packets.

An accept in our table does not override a drop in another one (Docker and ufw set the policy of FORWARD to drop,
firewalld ends its chain with a reject). So each of our bridges gets two rules there, marked by their comment. They
stand behind the administrator's own rules; what they let pass is still judged by our own table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stackfile import log
from stackfile.errors import KernelError
from stackfile.kernel import nftables as nft
from stackfile.kernel.netlink import attributes, string
from stackfile.kernel.nftables import Chain, Family, Hook, Nftables, Rule
from stackfile.kernel.nftexpr import ACCEPT, DROP, RETURN, counter, in_interface, out_interface, verdict

_LOG = log.get(__name__)
_FAMILIES = (Family.IPV4, Family.INET, Family.IPV6)
_NAMES = {Family.IPV4: "ip", Family.IPV6: "ip6", Family.INET: "inet"}
_USER_CHAIN = "DOCKER-USER"
_SILENT = ("counter", "log")


@dataclass(frozen=True, slots=True)
class Barrier:
    """A chain of others that drops what nobody accepted. `chain` is where our rules go, before `before` (0: last)."""

    family: Family
    table: str
    base: str
    chain: str
    before: int

    def __str__(self) -> str:
        return f"{_NAMES[self.family]} {self.table} {self.base}"


def barriers(kernel: Nftables, ours: str, *, ipv6: bool) -> list[Barrier]:
    """Chains at the forward hook that end in a drop (of IPv6 too on request); `ours` is our own table."""
    found = []
    for family in _FAMILIES if ipv6 else _FAMILIES[:2]:
        chains = kernel.chains(family)
        for base in _forward(chains, ours):
            rules = kernel.rules(family, base.table, base.name)
            last = rules[-1] if rules else None
            ends = last is not None and _refuses_all(last)
            if base.policy != DROP and not ends:
                continue
            if any(chain.table == base.table and chain.name == _USER_CHAIN for chain in chains):
                before = _final_return(kernel.rules(family, base.table, _USER_CHAIN))
                found.append(Barrier(family, base.table, base.name, _USER_CHAIN, before))
            else:
                before = last.handle if last is not None and ends else 0
                found.append(Barrier(family, base.table, base.name, base.name, before))
    return found


def pass_through(kernel: Nftables, ours: str, bridge: str, *, ipv6: bool) -> None:
    """Add our two rules for `bridge` at every barrier that does not have them."""
    for barrier in closed_for(kernel, ours, bridge, ipv6=ipv6):
        rules = [
            nft.add_rule(
                barrier.family, barrier.table, barrier.chain, match, counter(), verdict(ACCEPT),
                comment=mark(ours, bridge), before=barrier.before,
            )
            for match in (in_interface(bridge), out_interface(bridge))
        ]  # fmt: skip
        try:
            kernel.commit(rules)
        except KernelError as error:  # a table may have an owner that lets nobody else in
            _LOG.warning("%s drops forwarded packets and takes no rule for %s: %s", barrier, bridge, error)


def closed_for(kernel: Nftables, ours: str, bridge: str, *, ipv6: bool) -> list[Barrier]:
    """Barriers without our rules for `bridge`."""
    own = mark(ours, bridge)
    closed = []
    for barrier in barriers(kernel, ours, ipv6=ipv6):
        present = kernel.rules(barrier.family, barrier.table, barrier.chain)
        if sum(rule.comment == own for rule in present) < 2:
            closed.append(barrier)
    return closed


def withdraw(kernel: Nftables, ours: str, bridge: str = "") -> None:
    """Remove our rules for `bridge` (for all of our bridges when empty) from others' tables."""
    for rule in list(_marked(kernel, ours, bridge)):
        try:
            kernel.commit([nft.delete_rule(rule.family, rule.table, rule.chain, rule.handle)])
        except KernelError as error:
            _LOG.warning("rule %d of %s %s stays: %s", rule.handle, rule.table, rule.chain, error)


def _marked(kernel: Nftables, ours: str, bridge: str) -> Iterator[Rule]:
    own = mark(ours, bridge)
    for family in _FAMILIES:
        chains = kernel.chains(family)
        places = [*_forward(chains, ours), *(chain for chain in chains if chain.name == _USER_CHAIN)]
        for place in places:
            for rule in kernel.rules(family, place.table, place.name):
                if rule.comment == own or (not bridge and rule.comment.startswith(own)):
                    yield rule


def _forward(chains: list[Chain], ours: str) -> list[Chain]:
    return [c for c in chains if c.hook == Hook.FORWARD and c.type == "filter" and c.table != ours]


def mark(ours: str, bridge: str) -> str:
    """Comment of our rules in others' tables."""
    return f"stackfile {ours} {bridge}"


def _refuses_all(rule: Rule) -> bool:
    """The rule drops or rejects whatever comes to it."""
    *conditions, last = rule.expressions or (("", b""),)
    if any(name not in _SILENT for name, _ in conditions):
        return False
    name, data = last
    if name == "target":  # iptables-nft's form of REJECT
        return string(attributes(data).get(1, b"")) == "REJECT"
    return name == "reject" or (name == "immediate" and _verdict(data) == DROP)


def _final_return(rules: list[Rule]) -> int:
    """Handle of the unconditional return that ends Docker's chain, 0 where there is none."""
    if not rules:
        return 0
    *conditions, last = rules[-1].expressions or (("", b""),)
    plain = all(name in _SILENT for name, _ in conditions)
    return rules[-1].handle if plain and last[0] == "immediate" and _verdict(last[1]) == RETURN else 0


def _verdict(data: bytes) -> int | None:
    """Code of an immediate verdict."""
    code = attributes(attributes(attributes(data).get(2, b"")).get(2, b"")).get(1)
    return int.from_bytes(code, "big", signed=True) if code else None
