"""Living beside other firewalls: accept rules of ours where another table drops forwarded packets.

An accept in our table does not override a drop in another one (Docker and ufw set the policy of FORWARD to drop,
firewalld ends its chain with a reject). So each of our bridges gets two rules there, marked by their comment. They
stand behind the administrator's own rules; what they let pass is still judged by our own table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
_GUARDED = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}|(?:cni-)?podman\d+|cni\d+|virbr\d+")
_SILENT = ("counter", "log")
_DEEPEST = 16
"""Calls from chain to chain that the kernel allows, as many as are followed."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """A chain of others that drops what nobody accepted. `chain` is where our rules go, before `before` (0: last).

    `sealed`: the table has an owner that lets nobody else in (nft(8), flags owner).
    """

    family: Family
    table: str
    base: str
    chain: str
    before: int
    sealed: bool = False

    def __str__(self) -> str:
        return f"{_NAMES[self.family]} {self.table} {self.base}"


@dataclass(frozen=True, slots=True)
class Place:
    """A barrier, the comments of the rules that stand where ours belong, and the rules of its table that may be ours
    and stand elsewhere: while others load their chains anew, the place is another one for a moment."""

    barrier: Barrier
    comments: Sequence[str]
    elsewhere: Sequence[Rule]


def look(kernel: Nftables, ours: str, *, ipv6: bool) -> View:
    """All chains at the forward hook that drop what nobody accepts (of IPv6 too on request); `ours` is our table."""
    found = []
    for family in _FAMILIES if ipv6 else _FAMILIES[:2]:
        for base in _forward(kernel.chains(family), ours):
            rules: dict[str, list[Rule]] = {base.name: []}
            for rule in kernel.rules(family, base.table):
                rules.setdefault(rule.chain, []).append(rule)
            barrier = _barrier(family, base, rules)
            if barrier is not None:
                found.append(_place(replace(barrier, sealed=kernel.owned(family, base.table)), rules))
    return View(ours, found)


def _place(barrier: Barrier, rules: Mapping[str, list[Rule]]) -> Place:
    present = rules.get(barrier.chain, [])
    handles = [rule.handle for rule in present]
    effective = present[: handles.index(barrier.before)] if barrier.before in handles else present
    others = {barrier.base, _USER_CHAIN} - {barrier.chain}
    elsewhere = [rule for chain in others for rule in rules.get(chain, []) if rule.comment]
    return Place(barrier, [rule.comment for rule in effective], elsewhere)


def _barrier(family: Family, base: Chain, rules: Mapping[str, list[Rule]]) -> Barrier | None:
    """The barrier that a base chain is, by all rules of its table; None where it lets pass what nobody refuses."""
    for rule in rules[base.name]:
        if _target(rule) == _USER_CHAIN:
            end = _user_barrier(family, base, rules)
            return end if base.policy == DROP or _end(rules, base.name) is not None else None
        if _refuses_all(rule, rules):
            return Barrier(family, base.table, base.name, base.name, rule.handle)
    return Barrier(family, base.table, base.name, base.name, 0) if base.policy == DROP else None


def _user_barrier(family: Family, base: Chain, rules: Mapping[str, list[Rule]]) -> Barrier:
    """Our rules go to the end of Docker's chain for the administrator's rules."""
    return Barrier(family, base.table, base.name, _USER_CHAIN, _final_return(rules.get(_USER_CHAIN, [])))


def _end(rules: Mapping[str, list[Rule]], chain: str, depth: int = 0) -> Rule | None:
    """The first rule of a chain behind which nothing comes, since all is refused; chains that it calls count."""
    if depth > _DEEPEST:
        return None
    return next((rule for rule in rules.get(chain, []) if _refuses_all(rule, rules, depth)), None)


def pass_through(kernel: Nftables, ours: str, bridge: str, *, ipv6: bool) -> None:
    """Add our two rules for `bridge` at every barrier that does not have them; take away those that stand elsewhere."""
    view = look(kernel, ours, ipv6=ipv6)
    for rule in view.astray(bridge):
        _remove(kernel, rule)
    for barrier in view.closed_for(bridge, ipv6=ipv6):
        if barrier.sealed:
            continue
        rules = [
            nft.add_rule(
                barrier.family, barrier.table, barrier.chain, match, counter(), verdict(ACCEPT),
                comment=mark(ours, bridge), before=barrier.before,
            )
            for match in (in_interface(bridge), out_interface(bridge))
        ]  # fmt: skip
        try:
            kernel.commit(rules)
        except KernelError as error:
            _LOG.warning("%s drops forwarded packets and takes no rule for %s: %s", barrier, bridge, error)


def closed_for(kernel: Nftables, ours: str, bridge: str, *, ipv6: bool) -> list[Barrier]:
    """Barriers without our rules for `bridge`."""
    return look(kernel, ours, ipv6=ipv6).closed_for(bridge, ipv6=ipv6)


def is_guarded(bridge: str) -> bool:
    """Whether a bridge of others is one whose makers let nobody in but by published ports (Docker, Podman, libvirt).

    Our accept rules stand before theirs: what they would refuse to our containers, our own table must.
    """
    return _GUARDED.fullmatch(bridge) is not None


@dataclass(frozen=True, slots=True)
class View:
    """The barriers at one moment."""

    ours: str
    found: Sequence[Place]

    def closed_for(self, bridge: str, *, ipv6: bool) -> list[Barrier]:
        """Barriers without our rules for `bridge`; those of IPv6 alone count on request."""
        own = mark(self.ours, bridge)
        return [
            place.barrier
            for place in self.found
            if (ipv6 or place.barrier.family != Family.IPV6) and place.comments.count(own) < 2
        ]

    def astray(self, bridge: str) -> list[Rule]:
        """Our rules for `bridge` where they no longer belong."""
        own = mark(self.ours, bridge)
        return [rule for place in self.found for rule in place.elsewhere if rule.comment == own]


def withdraw(kernel: Nftables, ours: str, bridge: str = "") -> None:
    """Remove our rules for `bridge` (for all of our bridges when empty) from others' tables."""
    for rule in list(_marked(kernel, ours, bridge)):
        _remove(kernel, rule)


def _remove(kernel: Nftables, rule: Rule) -> None:
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


def _refuses_all(rule: Rule, rules: Mapping[str, list[Rule]], depth: int = 0) -> bool:
    """The rule drops or rejects whatever comes to it, or calls a chain that does."""
    if not _unconditional(rule):
        return False
    name, data = rule.expressions[-1]
    if name == "target":  # iptables-nft's form of REJECT
        return string(attributes(data).get(1, b"")) == "REJECT"
    if target := _target(rule):
        return _end(rules, target, depth + 1) is not None
    return name == "reject" or (name == "immediate" and _verdict(data) == DROP)


def _unconditional(rule: Rule) -> bool:
    return bool(rule.expressions) and all(name in _SILENT for name, _ in rule.expressions[:-1])


def _target(rule: Rule) -> str:
    """The chain that the rule calls whatever comes, "" for none."""
    if not _unconditional(rule) or rule.expressions[-1][0] != "immediate":
        return ""
    verdict = attributes(attributes(attributes(rule.expressions[-1][1]).get(2, b"")).get(2, b""))
    return string(verdict.get(2, b""))


def _final_return(rules: list[Rule]) -> int:
    """Handle of the unconditional return that ends Docker's chain, 0 where there is none."""
    if not rules or not _unconditional(rules[-1]):
        return 0
    name, data = rules[-1].expressions[-1]
    return rules[-1].handle if name == "immediate" and _verdict(data) == RETURN else 0


def _verdict(data: bytes) -> int | None:
    """Code of an immediate verdict."""
    code = attributes(attributes(attributes(data).get(2, b"")).get(2, b"")).get(1)
    return int.from_bytes(code, "big", signed=True) if code else None
