"""cgroup v1 (kernel: Documentation/admin-guide/cgroup-v1): a class per controller, one group in each hierarchy."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence

from stackfile.errors import KernelError
from stackfile.model.stack import Resources
from stackfile.runtime.cgroup import blkio, details
from stackfile.runtime.cgroup.hierarchy import (
    Hierarchies,
    make_directory,
    processes_below,
    read_keyed,
    read_number,
    read_text,
    read_value,
    write_text,
)
from stackfile.runtime.cgroup.types import CgroupDetails, CgroupStats, DeviceRule
from stackfile.runtime.instructions import CgroupHandle

PERIOD = 100_000
Facts = dict[str, tuple[str, str]]


class Controller:
    """One controller. `path` is always the container's directory in its hierarchy."""

    name = ""

    def prepare(self, path: str) -> None:
        """Make a new group usable."""

    def apply(self, path: str, resources: Resources, fresh: bool) -> None:
        """Write the limits; on a fresh group what has no limit needs no write."""

    def facts(self, path: str) -> Facts:
        """Limits as the kernel has them."""
        return {}


class Memory(Controller):
    name = "memory"

    def apply(self, path: str, resources: Resources, fresh: bool) -> None:
        limit = resources.memory or -1
        total = swap_total(resources)
        pairs = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", total)]
        if not os.path.exists(f"{path}/{pairs[1][0]}"):
            pairs.pop()
        if not fresh and _raises(path, total):
            pairs.reverse()  # the limit may never exceed limit plus swap
        for name, value in pairs:
            if value != -1 or not fresh:
                write_text(f"{path}/{name}", str(value))
        if resources.memory_reservation or not fresh:
            write_text(f"{path}/memory.soft_limit_in_bytes", str(resources.memory_reservation or -1))
        if resources.swappiness is not None:
            write_text(f"{path}/memory.swappiness", str(resources.swappiness))
        if resources.oom_kill_disable or (not fresh and os.path.exists(f"{path}/memory.oom_control")):
            write_text(f"{path}/memory.oom_control", str(int(resources.oom_kill_disable)))

    def facts(self, path: str) -> Facts:
        files = {
            "memory": "memory.limit_in_bytes",
            "memory_swap": "memory.memsw.limit_in_bytes",
            "memory_reservation": "memory.soft_limit_in_bytes",
        }
        return {field: (str(read_number(f"{path}/{file}")), f"{path}/{file}") for field, file in files.items()}


def swap_total(resources: Resources) -> int:
    """Memory plus swap in bytes, -1 for no limit: Docker gives as much swap as memory where nothing is said."""
    if resources.memory_swap:
        return resources.memory_swap
    return 2 * resources.memory if resources.memory else -1


def _raises(path: str, total: int) -> bool:
    present = read_number(f"{path}/memory.memsw.limit_in_bytes")
    return total == -1 or (present != 0 and total > present)


class Cpu(Controller):
    name = "cpu"

    def apply(self, path: str, resources: Resources, fresh: bool) -> None:
        given, period = cpu_time(resources)
        if given:
            write_text(f"{path}/cpu.cfs_period_us", str(period))
            write_text(f"{path}/cpu.cfs_quota_us", str(given))
        elif not fresh:
            write_text(f"{path}/cpu.cfs_quota_us", "-1")
        if resources.cpu_shares or not fresh:
            write_text(f"{path}/cpu.shares", str(resources.cpu_shares or 1024))

    def facts(self, path: str) -> Facts:
        given = read_number(f"{path}/cpu.cfs_quota_us")
        period = read_number(f"{path}/cpu.cfs_period_us") or PERIOD
        shares = read_number(f"{path}/cpu.shares")
        return {
            "nano_cpus": (str(given * 1_000_000_000 // period), f"{path}/cpu.cfs_quota_us"),
            "cpu_shares": (str(shares), f"{path}/cpu.shares"),
        }


def cpu_time(resources: Resources) -> tuple[int, int]:
    """(quota, period) in microseconds; a quota of 0 is no limit."""
    if resources.nano_cpus or resources.cpu_quota <= 0:
        return (quota(resources.nano_cpus) if resources.nano_cpus else 0), PERIOD
    return resources.cpu_quota, resources.cpu_period or PERIOD


def quota(nano_cpus: int) -> int:
    """Microseconds of CPU a period of 100 ms (the kernel's least is 1 ms)."""
    return max(nano_cpus * PERIOD // 1_000_000_000, 1000)


class Cpuset(Controller):
    name = "cpuset"

    def prepare(self, path: str) -> None:
        # A new v1 cpuset is empty and refuses tasks with ENOSPC.
        for file in ("cpuset.cpus", "cpuset.mems"):
            if not read_text(f"{path}/{file}").strip():
                write_text(f"{path}/{file}", read_text(f"{os.path.dirname(path)}/{file}").strip())

    def apply(self, path: str, resources: Resources, fresh: bool) -> None:
        if resources.cpuset:
            write_text(f"{path}/cpuset.cpus", resources.cpuset)
        elif not fresh:
            write_text(f"{path}/cpuset.cpus", read_text(f"{os.path.dirname(path)}/cpuset.cpus").strip())

    def facts(self, path: str) -> Facts:
        present = read_text(f"{path}/cpuset.cpus").strip()
        whole = read_text(f"{os.path.dirname(path)}/cpuset.cpus").strip()
        return {"cpuset": ("" if present == whole else present, f"{path}/cpuset.cpus")}


class Pids(Controller):
    name = "pids"

    def apply(self, path: str, resources: Resources, fresh: bool) -> None:
        if resources.pids > 0:
            write_text(f"{path}/pids.max", str(resources.pids))
        elif not fresh:
            write_text(f"{path}/pids.max", "max")

    def facts(self, path: str) -> Facts:
        return {"pids": (str(read_number(f"{path}/pids.max")), f"{path}/pids.max")}


class Blkio(Controller):
    name = "blkio"

    def apply(self, path: str, resources: Resources, fresh: bool) -> None:
        rows = blkio.v1_rows(resources.blkio)
        if not fresh:
            rows = [*blkio.lifted(path, blkio.V1_FILES, rows, "0"), *rows]
        if resources.blkio_weight or not fresh:
            rows.append(("blkio.bfq.weight", str(resources.blkio_weight or 100)))
        for file, row in rows:
            if os.path.exists(f"{path}/{file}"):  # weights are BFQ's, and not on every machine
                write_text(f"{path}/{file}", row)


CONTROLLERS: tuple[Controller, ...] = (Memory(), Cpu(), Cpuset(), Pids(), Blkio())
"""Those with something to write; cpuacct, freezer and devices are joined all the same."""


def device_text(rule: DeviceRule) -> str:
    """A line of devices.allow."""
    if rule.kind == "a":
        return "a"
    major, minor = ("*" if number < 0 else str(number) for number in (rule.major, rule.minor))
    return f"{rule.kind} {major}:{minor} {rule.access}"


class Tree:
    """The groups of one engine in every mounted v1 hierarchy."""

    def __init__(self, parent: str, found: Hierarchies) -> None:
        self._parent = parent.strip("/")
        self._mounts = dict(found.v1)

    def parents(self) -> list[str]:
        return list(dict.fromkeys(f"{point}/{self._parent}" for point in self._mounts.values()))

    def directories(self, identity: str) -> list[str]:
        return [f"{parent}/{identity}" for parent in self.parents()]

    def handle(self, identity: str) -> CgroupHandle:
        views: dict[str, list[str]] = {}
        for controller, point in self._mounts.items():
            views.setdefault(point, []).append(controller)
        named = tuple((os.path.basename(point), ",".join(names)) for point, names in views.items())
        return CgroupHandle(version=1, paths=tuple(self.directories(identity)), views=named)

    def identities(self) -> list[str]:
        found: set[str] = set()
        for parent in self.parents():
            if os.path.isdir(parent):
                found.update(entry.name for entry in os.scandir(parent) if entry.is_dir())
        return sorted(found)

    def create(self, identity: str, resources: Resources, devices: Sequence[DeviceRule]) -> CgroupHandle:
        for parent in self.parents():
            self._make(parent)
        for path in self.directories(identity):
            self._make(path)
        self.limit(identity, resources)
        if not any(rule.kind == "a" for rule in devices):
            self.set_devices(identity, devices)
        return self.handle(identity)

    def set_devices(self, identity: str, devices: Sequence[DeviceRule]) -> None:
        """Allow these devices and no others."""
        if "devices" not in self._mounts:
            return
        path = self._path("devices", identity)
        write_text(f"{path}/devices.deny", "a")
        for rule in devices:
            write_text(f"{path}/devices.allow", device_text(rule))

    def limit(self, identity: str, resources: Resources) -> None:
        """Give a fresh group its limits."""
        for controller, path in self._limited(identity):
            controller.apply(path, resources, True)

    def rename(self, old: str, new: str) -> bool:
        """Give a group another name in every hierarchy; False when that cannot be."""
        for before, after in zip(self.directories(old), self.directories(new), strict=True):
            try:
                os.rename(before, after)
            except OSError:
                return False
        return True

    def _make(self, path: str) -> None:
        make_directory(path)
        if "cpuset" in self._mounts and path.startswith(f"{self._mounts['cpuset']}/"):
            self._prepare_cpuset(path)

    def _prepare_cpuset(self, path: str) -> None:
        """Every level from the hierarchy's root down needs its CPUs and memory nodes."""
        levels = []
        while path != self._mounts["cpuset"]:
            levels.append(path)
            path = os.path.dirname(path)
        for level in reversed(levels):
            Cpuset().prepare(level)

    def update(self, identity: str, resources: Resources) -> None:
        for controller, path in self._limited(identity):
            controller.apply(path, resources, False)

    def limits(self, identity: str) -> Facts:
        facts: Facts = {}
        for controller, path in self._limited(identity):
            facts.update(controller.facts(path))
        return facts

    def usage(self, identity: str) -> tuple[int, int]:
        memory = self._path("memory", identity)
        used = read_number(f"{memory}/memory.usage_in_bytes")
        cache = read_value(f"{memory}/memory.stat", "total_inactive_file")
        return max(0, used - cache), read_number(f"{self._path('pids', identity)}/pids.current")

    def read(self, identity: str) -> CgroupStats:
        memory, pids = self._path("memory", identity), self._path("pids", identity)
        read_bytes, write_bytes = self._io(self._path("blkio", identity))
        return CgroupStats(
            memory=read_number(f"{memory}/memory.usage_in_bytes"),
            memory_limit=read_number(f"{memory}/memory.limit_in_bytes"),
            memory_cache=read_keyed(f"{memory}/memory.stat").get("total_inactive_file", 0),
            pids=read_number(f"{pids}/pids.current"),
            pids_limit=read_number(f"{pids}/pids.max"),
            cpu_ns=read_number(f"{self._path('cpuacct', identity)}/cpuacct.usage"),
            read_bytes=read_bytes,
            write_bytes=write_bytes,
            oom_kills=read_keyed(f"{memory}/memory.oom_control").get("oom_kill", 0),
        )

    def details(self, identity: str) -> CgroupDetails:
        return details.of_v1(lambda controller: self._path(controller, identity))

    def freeze(self, identity: str, frozen: bool) -> None:
        path = f"{self._path('freezer', identity)}/freezer.state"
        wanted = "FROZEN" if frozen else "THAWED"
        deadline = time.monotonic() + 1.0
        while True:
            write_text(path, wanted)
            if read_text(path).strip() == wanted or time.monotonic() > deadline:
                return
            time.sleep(0.001)

    def processes(self, identity: str) -> list[int]:
        return processes_below(self._path("pids" if "pids" in self._mounts else "memory", identity))

    def kill_all(self, identity: str) -> None:
        frozen = "freezer" in self._mounts and os.path.isdir(self._path("freezer", identity))
        if frozen:
            self._try_freeze(identity, True)  # nothing forks between reading the list and the signals
        try:
            for pid in self.processes(identity):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        finally:
            if frozen:
                self._try_freeze(identity, False)

    def _try_freeze(self, identity: str, frozen: bool) -> None:
        try:
            self.freeze(identity, frozen)
        except KernelError:
            return

    def _path(self, controller: str, identity: str) -> str:
        return f"{self._mounts.get(controller, '/nonexistent')}/{self._parent}/{identity}"

    def _limited(self, identity: str) -> Iterable[tuple[Controller, str]]:
        return [(each, self._path(each.name, identity)) for each in CONTROLLERS if each.name in self._mounts]

    @staticmethod
    def _io(path: str) -> tuple[int, int]:
        text = read_text(f"{path}/blkio.throttle.io_service_bytes_recursive") or read_text(
            f"{path}/blkio.throttle.io_service_bytes"
        )
        sums = {"Read": 0, "Write": 0}
        for row in (line.split() for line in text.splitlines()):
            if len(row) == 3 and row[1] in sums:
                sums[row[1]] += int(row[2])
        return sums["Read"], sums["Write"]
