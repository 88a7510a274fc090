"""cgroup v2 (kernel: Documentation/admin-guide/cgroup-v2.rst): one group, a class per controller."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from stackfile.errors import KernelError
from stackfile.kernel import bpf
from stackfile.model.stack import Resources
from stackfile.runtime.cgroup import blkio, details
from stackfile.runtime.cgroup.devices import device_program
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
from stackfile.runtime.cgroup.v1 import Facts, cpu_time
from stackfile.runtime.instructions import CgroupHandle

WANTED = ("cpuset", "cpu", "io", "memory", "pids")


class Controller:
    """One controller; `path` is the container's directory."""

    name = ""

    def files(self, resources: Resources) -> list[tuple[str, str]]:
        """(file, value) of every limit, values that mean no limit included."""
        return []

    def lift(self, path: str, resources: Resources) -> list[tuple[str, str]]:
        """(file, value) that takes away limits of a live group which `files` does not name."""
        return []

    def facts(self, path: str) -> Facts:
        return {}


class Memory(Controller):
    name = "memory"

    def files(self, resources: Resources) -> list[tuple[str, str]]:
        return [
            ("memory.max", _or_max(resources.memory)),
            ("memory.swap.max", self._swap(resources)),
            ("memory.low", str(resources.memory_reservation)),
        ]

    @staticmethod
    def _swap(resources: Resources) -> str:
        if resources.memory_swap < 0 or not resources.memory:
            return "max"
        return str(max(resources.memory_swap - resources.memory, 0) if resources.memory_swap else resources.memory)

    def facts(self, path: str) -> Facts:
        limit, swap = read_number(f"{path}/memory.max"), read_text(f"{path}/memory.swap.max").strip()
        total = limit + int(swap) if limit and swap.isdigit() else 0
        return {
            "memory": (str(limit), f"{path}/memory.max"),
            "memory_swap": (str(total), f"{path}/memory.swap.max"),
            "memory_reservation": (str(read_number(f"{path}/memory.low")), f"{path}/memory.low"),
        }


class Cpu(Controller):
    name = "cpu"

    def files(self, resources: Resources) -> list[tuple[str, str]]:
        given, period = cpu_time(resources)
        return [("cpu.max", f"{given or 'max'} {period}"), ("cpu.weight", str(weight(resources.cpu_shares)))]

    def facts(self, path: str) -> Facts:
        row = read_text(f"{path}/cpu.max").split()
        nano = int(row[0]) * 1_000_000_000 // int(row[1]) if len(row) == 2 and row[0].isdigit() else 0
        present = read_number(f"{path}/cpu.weight")
        return {
            "nano_cpus": (str(nano), f"{path}/cpu.max"),
            "cpu_shares": (str(shares(present)), f"{path}/cpu.weight"),
        }


def weight(cpu_shares: int) -> int:
    """v1 shares (2..262144) as a v2 weight (1..10000), as runc converts them; 100 where nothing is said."""
    return 1 + (min(max(cpu_shares, 2), 262144) - 2) * 9999 // 262142 if cpu_shares else 100


def shares(cpu_weight: int) -> int:
    """The smallest shares that give `cpu_weight` (some 26 of them give the same)."""
    return 2 - (-(cpu_weight - 1) * 262142 // 9999) if cpu_weight else 0


class Cpuset(Controller):
    name = "cpuset"

    def files(self, resources: Resources) -> list[tuple[str, str]]:
        return [("cpuset.cpus", resources.cpuset or "\n")]

    def facts(self, path: str) -> Facts:
        return {"cpuset": (read_text(f"{path}/cpuset.cpus").strip(), f"{path}/cpuset.cpus")}


class Pids(Controller):
    name = "pids"

    def files(self, resources: Resources) -> list[tuple[str, str]]:
        return [("pids.max", _or_max(resources.pids))]

    def facts(self, path: str) -> Facts:
        return {"pids": (str(read_number(f"{path}/pids.max")), f"{path}/pids.max")}


class Io(Controller):
    name = "io"

    def files(self, resources: Resources) -> list[tuple[str, str]]:
        weights = [("io.bfq.weight", str(resources.blkio_weight))] if resources.blkio_weight else []
        return [*weights, *blkio.v2_rows(resources.blkio)]

    def lift(self, path: str, resources: Resources) -> list[tuple[str, str]]:
        none = "rbps=max wbps=max riops=max wiops=max"
        return blkio.lifted(path, ("io.max",), blkio.v2_rows(resources.blkio), none)


CONTROLLERS: tuple[Controller, ...] = (Memory(), Cpu(), Cpuset(), Pids(), Io())


def _or_max(number: int) -> str:
    return str(number) if number > 0 else "max"


class Tree:
    """The groups of one engine in the unified hierarchy."""

    def __init__(self, parent: str, found: Hierarchies) -> None:
        self._root = found.v2
        self._parent = parent.strip("/")
        self._controllers = tuple(name for name in WANTED if name in found.v2_controllers)

    def parents(self) -> list[str]:
        return [f"{self._root}/{self._parent}"]

    def directories(self, identity: str) -> list[str]:
        return [self._path(identity)]

    def handle(self, identity: str) -> CgroupHandle:
        return CgroupHandle(version=2, paths=(self._path(identity),))

    def identities(self) -> list[str]:
        parent = self.parents()[0]
        if not os.path.isdir(parent):
            return []
        return sorted(entry.name for entry in os.scandir(parent) if entry.is_dir())

    def create(self, identity: str, resources: Resources, devices: Sequence[DeviceRule]) -> CgroupHandle:
        self._delegate()
        path = self._path(identity)
        make_directory(path)
        self.limit(identity, resources)
        if not any(rule.kind == "a" for rule in devices):
            bpf.attach_device_program(path, device_program(devices))
        return self.handle(identity)

    def set_devices(self, identity: str, devices: Sequence[DeviceRule]) -> None:
        """Allow these devices and no others."""
        bpf.replace_device_program(self._path(identity), device_program(devices))

    def limit(self, identity: str, resources: Resources) -> None:
        """Give a fresh group its limits."""
        path = self._path(identity)
        for controller in self._limited():
            unlimited = controller.files(Resources())
            for file, value in controller.files(resources):
                if (file, value) not in unlimited and os.path.exists(f"{path}/{file}"):
                    write_text(f"{path}/{file}", value)

    def rename(self, old: str, new: str) -> bool:
        """A group of v2 keeps its name; making one costs a tenth of what v1 takes."""
        return False

    def _delegate(self) -> None:
        """Turn the controllers on at every level from the root down to the parent."""
        path = self._root
        make_directory(f"{self._root}/{self._parent}")
        for part in ["", *self._parent.split("/")]:
            path = f"{path}/{part}" if part else path
            present = read_text(f"{path}/cgroup.subtree_control").split()
            missing = [f"+{name}" for name in self._controllers if name not in present]
            if missing:
                write_text(f"{path}/cgroup.subtree_control", " ".join(missing))

    def update(self, identity: str, resources: Resources) -> None:
        path = self._path(identity)
        for controller in self._limited():
            for file, value in (*controller.lift(path, resources), *controller.files(resources)):
                if os.path.exists(f"{path}/{file}"):
                    write_text(f"{path}/{file}", value)

    def limits(self, identity: str) -> Facts:
        facts: Facts = {}
        for controller in self._limited():
            facts.update(controller.facts(self._path(identity)))
        return facts

    def usage(self, identity: str) -> tuple[int, int]:
        path = self._path(identity)
        used = read_number(f"{path}/memory.current")
        cache = read_value(f"{path}/memory.stat", "inactive_file")
        return max(0, used - cache), read_number(f"{path}/pids.current")

    def read(self, identity: str) -> CgroupStats:
        path = self._path(identity)
        read_bytes, write_bytes = self._io(path)
        return CgroupStats(
            memory=read_number(f"{path}/memory.current"),
            memory_limit=read_number(f"{path}/memory.max"),
            memory_cache=read_keyed(f"{path}/memory.stat").get("inactive_file", 0),
            pids=read_number(f"{path}/pids.current"),
            pids_limit=read_number(f"{path}/pids.max"),
            cpu_ns=read_keyed(f"{path}/cpu.stat").get("usage_usec", 0) * 1000,
            read_bytes=read_bytes,
            write_bytes=write_bytes,
            oom_kills=read_keyed(f"{path}/memory.events").get("oom_kill", 0),
        )

    def details(self, identity: str) -> CgroupDetails:
        return details.of_v2(self._path(identity))

    def freeze(self, identity: str, frozen: bool) -> None:
        path = self._path(identity)
        write_text(f"{path}/cgroup.freeze", "1" if frozen else "0")
        deadline = time.monotonic() + 1.0
        while read_keyed(f"{path}/cgroup.events").get("frozen") != int(frozen) and time.monotonic() < deadline:
            time.sleep(0.001)

    def processes(self, identity: str) -> list[int]:
        return processes_below(self._path(identity))

    def kill_all(self, identity: str) -> None:
        try:
            write_text(f"{self._path(identity)}/cgroup.kill", "1")  # since Linux 5.14
        except KernelError:
            for pid in self.processes(identity):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def _path(self, identity: str) -> str:
        return f"{self._root}/{self._parent}/{identity}"

    def _limited(self) -> list[Controller]:
        return [each for each in CONTROLLERS if each.name in self._controllers]

    @staticmethod
    def _io(path: str) -> tuple[int, int]:
        sums = {"rbytes": 0, "wbytes": 0}
        for line in read_text(f"{path}/io.stat").splitlines():
            for name, _, value in (part.partition("=") for part in line.split()[1:]):
                if name in sums:
                    sums[name] += int(value)
        return sums["rbytes"], sums["wbytes"]
