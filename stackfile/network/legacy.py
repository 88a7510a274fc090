"""Accept rules of ours in iptables-legacy, where its FORWARD chain drops what nobody accepted (see firewall.py).

nfnetlink does not show the old xtables interface, so its own program speaks to it: who has rules there has that too.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackfile import log
from stackfile.network import firewall

_LOG = log.get(__name__)
_PROGRAMS = {4: "iptables-legacy", 6: "ip6tables-legacy"}
_TABLES = {4: "ip_tables_names", 6: "ip6_tables_names"}
_PATH = os.pathsep.join(("/usr/sbin", "/sbin", "/usr/bin", "/bin"))
_WAIT = ("-w", "5")
_USER_CHAIN = "DOCKER-USER"
_REFUSALS = ("DROP", "REJECT")
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Barrier:
    """A FORWARD chain that drops. Our rules go into `chain` at place `number` (from 1; 0 is the end)."""

    program: str
    chain: str
    number: int

    def __str__(self) -> str:
        return f"{os.path.basename(self.program)} filter FORWARD"


def in_use(version: int) -> bool:
    """Whether the family's filter table exists; it comes into being with its first use."""
    try:
        with open(f"/proc/thread-self/net/{_TABLES[version]}") as file:
            return "filter" in file.read().split()
    except OSError:
        return False


def program(version: int) -> str:
    """Path of the family's program, "" where there is none."""
    return shutil.which(_PROGRAMS[version], path=_PATH) or ""


def closed_for(ours: str, bridge: str, *, ipv6: bool) -> list[Barrier]:
    """Chains that drop and do not have our rules for `bridge`; `ours` is our nftables table."""
    return look(ours, ipv6=ipv6).closed_for(bridge, ipv6=ipv6)


@dataclass(frozen=True, slots=True)
class View:
    """The chains that drop at one moment, each with the comments of the rules that stand where ours belong."""

    ours: str
    found: Mapping[int, tuple[Barrier, Sequence[str]]]
    """By family, 4 or 6."""

    def closed_for(self, bridge: str, *, ipv6: bool) -> list[Barrier]:
        """Chains without our rules for `bridge`; those of IPv6 count on request."""
        own = firewall.mark(self.ours, bridge)
        return [
            barrier
            for version, (barrier, comments) in self.found.items()
            if (ipv6 or version == 4) and comments.count(own) < 2
        ]


def look(ours: str, *, ipv6: bool) -> View:
    """All chains that drop, for the questions of many bridges."""
    found = {}
    for version in (4, 6) if ipv6 else (4,):
        rules = _rules(version)
        barrier = _barrier(version, rules)
        if barrier is not None:
            present = [rule for rule in rules if rule[:2] == ["-A", barrier.chain]]
            effective = present[: barrier.number - 1] if barrier.number else present
            found[version] = (barrier, [_comment(rule) for rule in effective])
    return View(ours, found)


def pass_through(ours: str, bridge: str, *, ipv6: bool) -> None:
    """Add our two rules for `bridge` where the chain drops and does not have them."""
    for barrier in closed_for(ours, bridge, ipv6=ipv6):
        place = ["-I", barrier.chain, str(barrier.number)] if barrier.number else ["-A", barrier.chain]
        mark = ["-m", "comment", "--comment", firewall.mark(ours, bridge), "-j", "ACCEPT"]
        for match in (["-i", bridge], ["-o", bridge]):
            _call(barrier.program, [*place, *match, *mark])


def withdraw(ours: str, bridge: str = "") -> None:
    """Remove our rules for `bridge` (for all of our bridges when empty)."""
    mark = firewall.mark(ours, bridge)
    for version in (4, 6):
        for rule in _rules(version):
            comment = _comment(rule)
            if comment == mark or (not bridge and comment.startswith(mark)):
                _call(program(version), ["-D", *rule[1:]])


def _barrier(version: int, rules: Sequence[Sequence[str]]) -> Barrier | None:
    forward = [rule for rule in rules if rule[:2] == ["-A", "FORWARD"]]
    drops = ["-P", "FORWARD", "DROP"] in rules
    end = next((number for number, rule in enumerate(forward, 1) if _refuses_all(rule, rules)), 0)
    if not drops and not end:
        return None
    if any(_target(rule) == _USER_CHAIN for rule in forward[: end or None]):
        user = [rule for rule in rules if rule[:2] == ["-A", _USER_CHAIN]]
        returns = bool(user) and user[-1] == ["-A", _USER_CHAIN, "-j", "RETURN"]
        return Barrier(program(version), _USER_CHAIN, len(user) if returns else 0)
    return Barrier(program(version), "FORWARD", end)


def _refuses_all(rule: Sequence[str], rules: Sequence[Sequence[str]], depth: int = 0) -> bool:
    """The rule drops or rejects whatever comes to it, or calls a chain that does."""
    target = _target(rule)
    if not target or target in _REFUSALS:
        return bool(target)
    own = (other for other in rules if other[:2] == ["-A", target]) if depth < _DEEPEST else ()
    return any(_refuses_all(other, rules, depth + 1) for other in own)


def _target(rule: Sequence[str]) -> str:
    """Where the rule leads whatever comes, "" for a rule with a condition."""
    return rule[3] if rule[2:3] in (["-j"], ["-g"]) else ""


def _comment(rule: Sequence[str]) -> str:
    return rule[rule.index("--comment") + 1] if "--comment" in rule[:-1] else ""


def _rules(version: int) -> list[list[str]]:
    """The filter table as `-S` prints it, in words; empty where it is not in use or cannot be seen."""
    if not in_use(version) or not program(version):
        return []
    return [shlex.split(line) for line in _call(program(version), ["-S"]).splitlines()]


def _call(path: str, arguments: Sequence[str]) -> str:
    done = subprocess.run([path, *_WAIT, *arguments], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        _LOG.warning("%s %s: %s", path, " ".join(arguments), done.stderr.strip())
    return done.stdout
