"""Which rules of others end a chain."""

from __future__ import annotations

import pytest

from stackfile.kernel.netlink import attributes, string
from stackfile.kernel.nftables import ACCEPT, Chain, Family, Rule
from stackfile.kernel.nftexpr import DROP, JUMP, RETURN, counter, in_interface, reject, verdict
from stackfile.network import firewall, legacy


def rule(*expressions: bytes, chain: str = "FORWARD", handle: int = 7) -> Rule:
    found = []
    for expression in expressions:
        parts = attributes(attributes(expression)[1])
        found.append((string(parts[1]), parts.get(2, b"")))
    return Rule(2, "filter", chain, handle, "", tuple(found))


@pytest.mark.parametrize(
    ("expressions", "refuses"),
    [
        ((verdict(DROP),), True),
        ((counter(), verdict(DROP)), True),
        ((reject(),), True),
        ((verdict(RETURN),), False),
        ((in_interface("eth0"), verdict(DROP)), False),
        ((), False),
    ],
)
def test_final_refusal(expressions: tuple[bytes, ...], refuses: bool) -> None:
    assert firewall._refuses_all(rule(*expressions), {}) is refuses


def test_final_return_is_found() -> None:
    assert firewall._final_return([rule(verdict(DROP)), rule(counter(), verdict(RETURN))]) == 7
    assert firewall._final_return([rule(in_interface("eth0"), verdict(RETURN))]) == 0
    assert firewall._final_return([]) == 0


BASE = Chain(2, "filter", "FORWARD", "filter", 2, 0, ACCEPT)


def test_refusal_in_a_chain_that_is_called() -> None:
    """ufw and firewalld refuse in chains of their own; what stands behind the call is never reached."""
    calls = [rule(counter(), verdict(JUMP, name), handle=handle) for handle, name in ((1, "user"), (2, "end"))]
    chains = {"FORWARD": [*calls, rule(counter(), handle=3)], "user": [rule(verdict(JUMP, "more"))]}
    assert firewall._barrier(Family.IPV4, BASE, chains) is None
    chains |= {"end": [rule(verdict(JUMP, "very end"))], "very end": [rule(counter(), reject())]}
    found = firewall._barrier(Family.IPV4, BASE, chains)
    assert found == firewall.Barrier(Family.IPV4, "filter", "FORWARD", "FORWARD", 2)
    conditional = {"FORWARD": [rule(in_interface("eth0"), verdict(JUMP, "end"))], "end": chains["end"]}
    assert firewall._barrier(Family.IPV4, BASE, conditional) is None


def test_chains_that_call_each_other_end() -> None:
    chains = {"FORWARD": [rule(verdict(JUMP, "a"))], "a": [rule(verdict(JUMP, "FORWARD"))]}
    assert firewall._barrier(Family.IPV4, BASE, chains) is None


def test_dockers_chain_counts_where_it_is_reached() -> None:
    user, end = rule(verdict(JUMP, "DOCKER-USER"), handle=1), rule(verdict(DROP), handle=2)
    back = rule(verdict(RETURN), handle=9)
    for rules, chain, before in (([user, end], "DOCKER-USER", 9), ([end, user], "FORWARD", 2)):
        found = firewall._barrier(Family.IPV4, BASE, {"FORWARD": rules, "DOCKER-USER": [back]})
        assert found == firewall.Barrier(Family.IPV4, "filter", "FORWARD", chain, before)
    assert firewall._barrier(Family.IPV4, BASE, {"FORWARD": [user], "DOCKER-USER": [back]}) is None


UFW = """
-P FORWARD ACCEPT
-N reject-forward
-A FORWARD -j before-forward
-A FORWARD -j reject-forward
-A FORWARD -j DOCKER-USER
-A before-forward -s 192.0.2.1/32 -j ACCEPT
-A reject-forward -j REJECT --reject-with icmp-port-unreachable
"""


def test_iptables_legacy_refusal_in_a_chain_that_is_called() -> None:
    rules = [line.split() for line in UFW.strip().splitlines()]
    found = legacy._barrier(4, rules)
    assert found is not None
    assert (found.chain, found.number) == ("FORWARD", 2)
    assert legacy._barrier(4, rules[:-1]) is None
