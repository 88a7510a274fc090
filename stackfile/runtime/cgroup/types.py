"""Types of the cgroup package."""

from __future__ import annotations

from dataclasses import dataclass, field

ENGINE_GROUP = "engine"
"""Where the supervisor and its children live, beside the containers' groups (supervisor/daemonize.py)."""


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """Allow a device. kind: c, b or a; major and minor -1 for any; access of r, w, m."""

    kind: str
    major: int
    minor: int
    access: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupStats:
    """Usage of a container. Bytes, nanoseconds, counts; limits are 0 where there is none."""

    memory: int = 0
    memory_limit: int = 0
    memory_cache: int = 0
    """Inactive file pages: what Docker's `stats` takes off the usage."""
    pids: int = 0
    pids_limit: int = 0
    cpu_ns: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    oom_kills: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupDetails:
    """Usage in every detail that the kernel tells: for statistics, not for lists. Bytes, nanoseconds, counts."""

    cpu_user: int = 0
    cpu_kernel: int = 0
    cpu_each: tuple[int, ...] = ()
    """By CPU; only v1 knows."""
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0
    memory_peak: int = 0
    memory: dict[str, int] = field(default_factory=dict)
    """memory.stat as it is."""
    io: tuple[tuple[int, int, str, int], ...] = ()
    """(major, minor, read or write, bytes)."""


ALL_DEVICES: tuple[DeviceRule, ...] = (DeviceRule("a", -1, -1, "rwm"),)
"""What a privileged container may use."""

DEFAULT_DEVICES: tuple[DeviceRule, ...] = (
    DeviceRule("c", -1, -1, "m"),
    DeviceRule("b", -1, -1, "m"),
    DeviceRule("c", 1, 3, "rwm"),  # null
    DeviceRule("c", 1, 5, "rwm"),  # zero
    DeviceRule("c", 1, 7, "rwm"),  # full
    DeviceRule("c", 1, 8, "rwm"),  # random
    DeviceRule("c", 1, 9, "rwm"),  # urandom
    DeviceRule("c", 5, 0, "rwm"),  # tty
    DeviceRule("c", 5, 1, "rwm"),  # console
    DeviceRule("c", 5, 2, "rwm"),  # ptmx
    DeviceRule("c", 136, -1, "rwm"),  # pts
)
"""Docker's default: the devices of /dev, and making (not opening) any node."""
