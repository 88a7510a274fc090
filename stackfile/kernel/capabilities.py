"""Linux capabilities (capabilities(7)): names, bits and the calls that set them."""

from __future__ import annotations

import struct

from stackfile.kernel.syscalls import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
    call,
    prctl,
)

NAMES: tuple[str, ...] = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)  # fmt: skip
"""Index is the capability's number."""

BITS: dict[str, int] = {name: 1 << number for number, name in enumerate(NAMES)}

_VERSION_3 = 0x20080522
_SETS = struct.Struct("<6I")


def last() -> int:
    """The highest capability this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def permitted() -> int:
    """The permitted set of this process as a mask."""
    data = bytearray(_SETS.size)
    call("capget", struct.pack("<II", _VERSION_3, 0), data)
    row = _SETS.unpack(data)
    return int(row[1] | row[4] << 32)


def limit_bounding(keep: int, highest: int) -> None:
    """Drop everything but `keep` from the bounding set. Raises KernelError."""
    for number in range(highest + 1):
        if not keep >> number & 1:
            prctl(PR_CAPBSET_DROP, number, subject=f"bounding set, {number}")


def set_all(effective: int, permitted_mask: int, inheritable: int) -> None:
    """capset(2). Raises KernelError."""
    low = [mask & 0xFFFFFFFF for mask in (effective, permitted_mask, inheritable)]
    high = [mask >> 32 for mask in (effective, permitted_mask, inheritable)]
    call("capset", struct.pack("<II", _VERSION_3, 0), _SETS.pack(*low, *high), subject=f"{permitted_mask:#x}")


def set_ambient(mask: int) -> None:
    """Clear the ambient set, then raise `mask` (which must be permitted and inheritable). Raises KernelError."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(64):
        if mask >> number & 1:
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, subject=f"ambient set, {number}")
