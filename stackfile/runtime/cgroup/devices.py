"""The v2 device controller: rules as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from stackfile.runtime.cgroup.types import DeviceRule

_KINDS = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}

# struct bpf_insn: code, dst and src registers (4 bits each), offset, immediate.
_LOAD_W = 0x61
_MOV_REG, _MOV_IMM = 0xBF, 0xB7
_AND_IMM, _RSH_IMM = 0x57, 0x77
_JNE_IMM = 0x55
_EXIT = 0x95


def _instruction(code: int, dst: int = 0, src: int = 0, offset: int = 0, immediate: int = 0) -> bytes:
    return struct.pack("<BBhi", code, dst | src << 4, offset, immediate)


def device_program(rules: Sequence[DeviceRule]) -> bytes:
    """Instructions that return 1 for an access that one of `rules` allows, else 0.

    r1 is struct bpf_cgroup_dev_ctx: access_type (access << 16 | kind), major, minor.
    """
    head = [
        _instruction(_LOAD_W, 2, 1, 0),
        _instruction(_MOV_REG, 3, 2),
        _instruction(_AND_IMM, 2, immediate=0xFFFF),  # r2: kind
        _instruction(_RSH_IMM, 3, immediate=16),  # r3: access
        _instruction(_LOAD_W, 4, 1, 4),  # r4: major
        _instruction(_LOAD_W, 5, 1, 8),  # r5: minor
    ]
    body = [_rule(rule) for rule in rules]
    tail = [_instruction(_MOV_IMM, 0, immediate=0), _instruction(_EXIT)]
    return b"".join([*head, *body, *tail])


def _rule(rule: DeviceRule) -> bytes:
    """Tests that jump past this rule's `return 1` when they fail."""
    tests: list[tuple[int, int, int | None]] = []
    if rule.kind != "a":
        tests.append((_JNE_IMM, 2, _KINDS[rule.kind]))
    denied = 7 & ~sum(_ACCESS[letter] for letter in rule.access)
    if denied:
        tests.append((0, 3, denied))
    if rule.major >= 0:
        tests.append((_JNE_IMM, 4, rule.major))
    if rule.minor >= 0:
        tests.append((_JNE_IMM, 5, rule.minor))
    code: list[bytes] = [_instruction(_MOV_IMM, 0, immediate=1), _instruction(_EXIT)]
    for kind, register, value in reversed(tests):
        if kind:
            code.insert(0, _instruction(kind, register, offset=len(code), immediate=value or 0))
        else:
            # The access asked for must hold no bit outside of what is allowed.
            code.insert(0, _instruction(_JNE_IMM, 6, offset=len(code), immediate=0))
            code.insert(0, _instruction(_AND_IMM, 6, immediate=value or 0))
            code.insert(0, _instruction(_MOV_REG, 6, register))
    return b"".join(code)
