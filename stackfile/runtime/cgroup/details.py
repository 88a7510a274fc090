"""Usage in every detail (kernel Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst)."""

from __future__ import annotations

import os
from collections.abc import Callable

from stackfile.runtime.cgroup.hierarchy import read_keyed, read_number, read_text
from stackfile.runtime.cgroup.types import CgroupDetails

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def of_v1(path: Callable[[str], str]) -> CgroupDetails:
    """`path` gives a controller's directory of the container."""
    cpu, accounting, memory = path("cpu"), path("cpuacct"), path("memory")
    ticks = read_keyed(f"{accounting}/cpuacct.stat")
    throttling = read_keyed(f"{cpu}/cpu.stat")
    block = path("blkio")
    text = read_text(f"{block}/blkio.throttle.io_service_bytes_recursive") or read_text(
        f"{block}/blkio.throttle.io_service_bytes"
    )
    rows = (line.split() for line in text.splitlines())
    return CgroupDetails(
        cpu_user=ticks.get("user", 0) * _TICK,
        cpu_kernel=ticks.get("system", 0) * _TICK,
        cpu_each=tuple(int(word) for word in read_text(f"{accounting}/cpuacct.usage_percpu").split()),
        periods=throttling.get("nr_periods", 0),
        throttled_periods=throttling.get("nr_throttled", 0),
        throttled_ns=throttling.get("throttled_time", 0),
        memory_peak=read_number(f"{memory}/memory.max_usage_in_bytes"),
        memory=read_keyed(f"{memory}/memory.stat"),
        io=tuple(
            (*_device(row[0]), row[1].lower(), int(row[2]))
            for row in rows
            if len(row) == 3 and row[1] in ("Read", "Write")
        ),
    )


def of_v2(path: str) -> CgroupDetails:
    """`path` is the container's directory."""
    cpu = read_keyed(f"{path}/cpu.stat")
    io = []
    for line in read_text(f"{path}/io.stat").splitlines():
        device, *parts = line.split()
        numbers = dict(part.split("=", 1) for part in parts if "=" in part)
        io += [(*_device(device), word, int(numbers.get(key, 0))) for word, key in _DIRECTIONS]
    return CgroupDetails(
        cpu_user=cpu.get("user_usec", 0) * 1000,
        cpu_kernel=cpu.get("system_usec", 0) * 1000,
        periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0),
        throttled_ns=cpu.get("throttled_usec", 0) * 1000,
        memory_peak=read_number(f"{path}/memory.peak"),
        memory=read_keyed(f"{path}/memory.stat"),
        io=tuple(io),
    )


_DIRECTIONS = (("read", "rbytes"), ("write", "wbytes"))


def _device(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(":")
    return int(major), int(minor)
