"""From rules to a classic BPF program: a binary search over merged ranges of syscall numbers (seccomp(2), bpf(4))."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from stackfile.errors import EngineError
from stackfile.kernel.capabilities import BITS
from stackfile.runtime.seccomp.profile import ENOSYS, RULES, Argument, Rule

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
KILL_PROCESS = 0x80000000
EPERM = 1

_LOAD, _AND = 0x20, 0x54
_JUMP, _JEQ, _JGE, _JSET = 0x05, 0x15, 0x35, 0x45
_RETURN = 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16

AUDIT = {"x86_64": 0xC000003E, "i386": 0x40000003, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_* (linux/audit.h)."""
X32_BIT = 0x40000000

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a syscall number gets: `action`, or ALLOW where one of `conditions` holds."""

    action: int
    conditions: tuple[Argument, ...] = ()


DENY = Decision(ERRNO | EPERM)
UNKNOWN = Decision(ERRNO | ENOSYS)


@cache
def default_program(capabilities: int, architecture: str) -> bytes:
    """The default profile for a process with these capabilities (a mask), 8 bytes an instruction.

    On x86_64 it covers i386 and x32 too. Raises EngineError (`unsupported-kernel`) for another architecture.
    """
    if architecture not in ("x86_64", "aarch64"):
        raise EngineError("unsupported-kernel", f"no seccomp profile for {architecture}", hint="use x86_64 or aarch64")
    return assemble(instructions(RULES, capabilities, architecture))


def instructions(rules: Sequence[Rule], capabilities: int, architecture: str) -> list[Instruction]:
    """The whole program for an architecture and its compatible ones."""
    native = _search(decisions(rules, capabilities, architecture))
    load: list[Instruction] = [(_LOAD, 0, 0, _NUMBER_AT)]
    if architecture != "x86_64":
        body = [*load, *native]
        return [(_LOAD, 0, 0, _ARCH_AT), (_JEQ, 1, 0, AUDIT[architecture]), (_RETURN, 0, 0, KILL_PROCESS), *body]
    x32 = [(_AND, 0, 0, ~X32_BIT & 0xFFFFFFFF), *_search(decisions(rules, capabilities, "x32"))]
    # x32 calls have the native architecture and a bit in their number.
    native = [*load, (_JGE, 0, 1, X32_BIT), (_JUMP, 0, 0, len(native)), *native, *x32]
    i386 = [*load, *_search(decisions(rules, capabilities, "i386"))]
    return [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JEQ, 0, 1, AUDIT["x86_64"]),
        (_JUMP, 0, 0, 2 + len(i386)),
        (_JEQ, 1, 0, AUDIT["i386"]),
        (_RETURN, 0, 0, KILL_PROCESS),
        *i386,
        *native,
    ]


def decisions(rules: Iterable[Rule], capabilities: int, architecture: str) -> list[tuple[int, Decision]]:
    """(first number, decision) of every range, from 0 to the end; neighbours differ."""
    table = _tables()[architecture]
    by_number: dict[int, Decision] = {}
    for rule in rules:
        if not _applies(rule, capabilities, architecture):
            continue
        for number in (table[name] for name in rule.names if name in table):
            by_number[number] = _combine(by_number.get(number, DENY), rule)
    highest = max(table.values())
    ranges: list[tuple[int, Decision]] = []
    for number in range(highest + 2):
        decision = UNKNOWN if number > highest else by_number.get(number, DENY)
        if not ranges or ranges[-1][1] != decision:
            ranges.append((number, decision))
    return ranges


def _applies(rule: Rule, capabilities: int, architecture: str) -> bool:
    if rule.architectures and architecture not in rule.architectures:
        return False
    if rule.unless and capabilities & BITS[rule.unless]:
        return False
    return not rule.capabilities or any(capabilities & BITS[name] for name in rule.capabilities)


def _combine(present: Decision, rule: Rule) -> Decision:
    if rule.errno:
        return Decision(ERRNO | rule.errno)
    if rule.argument is None or present.action == ALLOW:
        return Decision(ALLOW)
    return Decision(present.action, (*present.conditions, rule.argument))


def _search(ranges: Sequence[tuple[int, Decision]]) -> list[Instruction]:
    """Find the range of the number in the accumulator, and decide."""
    if len(ranges) == 1:
        return _leaf(ranges[0][1])
    middle = len(ranges) // 2
    left, right = _search(ranges[:middle]), _search(ranges[middle:])
    start = ranges[middle][0]
    if len(left) < 256:
        return [(_JGE, len(left), 0, start), *left, *right]
    return [(_JGE, 0, 1, start), (_JUMP, 0, 0, len(left)), *left, *right]  # conditional jumps reach 255 only


def _leaf(decision: Decision) -> list[Instruction]:
    code: list[Instruction] = []
    for condition in decision.conditions:
        code.append((_LOAD, 0, 0, _ARGUMENTS_AT + 8 * condition.index))  # the low word: both are little-endian
        test, if_true, if_false = {"equal": (_JEQ, 0, 1), "not-equal": (_JEQ, 1, 0), "none-of": (_JSET, 1, 0)}[
            condition.test
        ]
        code += [(test, if_true, if_false, condition.value), (_RETURN, 0, 0, ALLOW)]
    return [*code, (_RETURN, 0, 0, decision.action)]


def assemble(program: Iterable[Instruction]) -> bytes:
    """struct sock_filter of every instruction."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


@cache
def _tables() -> dict[str, dict[str, int]]:
    """Architecture → syscall name → number."""
    tables: dict[str, dict[str, int]] = json.loads(
        resources.files("stackfile.runtime.seccomp").joinpath("tables.json").read_text()
    )
    return tables
