"""Which rules of others end a chain."""

from __future__ import annotations

import pytest

from stackfile.kernel.netlink import attributes, string
from stackfile.kernel.nftables import Rule
from stackfile.kernel.nftexpr import DROP, RETURN, counter, in_interface, reject, verdict
from stackfile.network import firewall


def rule(*expressions: bytes) -> Rule:
    found = []
    for expression in expressions:
        parts = attributes(attributes(expression)[1])
        found.append((string(parts[1]), parts.get(2, b"")))
    return Rule(2, "filter", "FORWARD", 7, "", tuple(found))


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
    assert firewall._refuses_all(rule(*expressions)) is refuses


def test_final_return_is_found() -> None:
    assert firewall._final_return([rule(verdict(DROP)), rule(counter(), verdict(RETURN))]) == 7
    assert firewall._final_return([rule(in_interface("eth0"), verdict(RETURN))]) == 0
    assert firewall._final_return([]) == 0
