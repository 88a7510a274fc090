"""Capability sets of containers: Docker's default of 14, cap_add, cap_drop, ALL, privileged."""

from __future__ import annotations

from collections.abc import Sequence

from stackfile.errors import ActionError
from stackfile.kernel.capabilities import BITS, NAMES

DEFAULT: tuple[str, ...] = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)  # fmt: skip


def mask(names: Sequence[str]) -> int:
    """The bits of capability names (`NET_ADMIN`, `CAP_NET_ADMIN`, in any case). ActionError (`bad-request`)."""
    bits = 0
    for name in names:
        plain = name.upper().removeprefix("CAP_")
        if plain not in BITS:
            raise ActionError("bad-request", f"unknown capability {name!r}", hint="see capabilities(7)")
        bits |= BITS[plain]
    return bits


def names(bits: int) -> tuple[str, ...]:
    """`CAP_…` of every bit that is set."""
    return tuple(f"CAP_{name}" for number, name in enumerate(NAMES) if bits >> number & 1)


def effective(add: Sequence[str], drop: Sequence[str], *, privileged: bool, available: int) -> int:
    """The set of a container as Docker works it out, cut down to what this machine can give.

    privileged: everything, whatever is added or dropped. cap_add ALL: everything but what is dropped. cap_drop ALL:
    nothing but what is added. Else the default, less what is dropped, plus what is added.
    """
    if privileged:
        return available
    all_added, all_dropped = ("ALL" in (name.upper() for name in each) for each in (add, drop))
    added = mask([name for name in add if name.upper() != "ALL"])
    dropped = mask([name for name in drop if name.upper() != "ALL"])
    if all_added:
        bits = available & ~dropped
    elif all_dropped:
        bits = added
    else:
        bits = mask(DEFAULT) & ~dropped | added
    return bits & available
