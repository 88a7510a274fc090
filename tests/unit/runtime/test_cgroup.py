"""Cgroup files, against a tree of plain files in place of the kernel's."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from stackfile.errors import ActionError
from stackfile.model.stack import BlkioLimit, Resources
from stackfile.runtime.cgroup import blkio
from stackfile.runtime.cgroup.devices import device_program
from stackfile.runtime.cgroup.hierarchy import Hierarchies, detect, read_number
from stackfile.runtime.cgroup.manager import Cgroups
from stackfile.runtime.cgroup.types import ALL_DEVICES, DEFAULT_DEVICES, DeviceRule
from stackfile.runtime.cgroup.v1 import device_text, swap_total
from stackfile.runtime.cgroup.v2 import shares, weight

HYBRID = """\
30 20 0:25 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
34 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""
V1 = {
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes"),
    "cpu": ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"),
    "cpuset": ("cpuset.cpus", "cpuset.mems"),
    "pids": ("pids.max",),
    "devices": ("devices.allow", "devices.deny"),
    "freezer": ("freezer.state",),
    "blkio": ("blkio.throttle.read_bps_device", "blkio.throttle.write_iops_device"),
}
LIMITS = Resources(memory=1 << 20, nano_cpus=1_500_000_000, cpu_shares=512, pids=9, cpuset="0")


@pytest.fixture
def v1(tmp_path: Path) -> Cgroups:
    """Files that are there when a group is made, as cgroupfs has them."""
    for controller, files in V1.items():
        for level in ("", "own", "own/c"):
            (tmp_path / controller / level).mkdir(exist_ok=True, parents=True)
            for file in files:
                (tmp_path / controller / level / file).write_text("")
    for file, text in (("cpuset.cpus", "0-3\n"), ("cpuset.mems", "0\n")):
        (tmp_path / "cpuset" / file).write_text(text)
    return Cgroups("own", Hierarchies(1, {name: str(tmp_path / name) for name in V1}))


@pytest.fixture
def v2(tmp_path: Path) -> Cgroups:
    controllers = ("cpuset", "cpu", "io", "memory", "pids")
    files = ("memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpu.weight", "pids.max", "cpuset.cpus")
    for level in ("", "own", "own/c"):
        (tmp_path / level).mkdir(exist_ok=True)
        for file in (*files, "cgroup.subtree_control"):
            (tmp_path / level / file).write_text("")
    return Cgroups("own", Hierarchies(2, {}, str(tmp_path), controllers))


def test_detect() -> None:
    found = detect(HYBRID)
    assert found.version == 1
    assert found.v1 == dict.fromkeys(("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct") | {
        "memory": "/sys/fs/cgroup/memory"
    }
    assert found.v2 == "/sys/fs/cgroup/unified"
    assert detect("34 30 0:29 / /cg rw - cgroup2 cgroup2 rw\n").version == 2
    assert detect("").version == 0


def test_v1_limits(v1: Cgroups, tmp_path: Path) -> None:
    handle = v1.create("c", LIMITS)
    assert handle.version == 1
    assert len(handle.paths) == len(V1)
    read = {file: (tmp_path / controller / "own/c" / file).read_text() for controller in V1 for file in V1[controller]}
    assert read["memory.limit_in_bytes"] == "1048576"
    assert read["memory.memsw.limit_in_bytes"] == "2097152"
    assert (read["cpu.cfs_period_us"], read["cpu.cfs_quota_us"], read["cpu.shares"]) == ("100000", "150000", "512")
    assert (read["cpuset.cpus"], read["cpuset.mems"], read["pids.max"]) == ("0", "0", "9")
    assert read["devices.deny"] == "a"
    assert (tmp_path / "cpuset/own/cpuset.cpus").read_text() == "0-3"


def test_v1_limits_read_back(v1: Cgroups) -> None:
    v1.create("c", LIMITS)
    facts = {name: value for name, (value, _) in v1.limits("c").items()}
    assert facts["memory"] == "1048576"
    assert (facts["nano_cpus"], facts["cpu_shares"], facts["pids"]) == ("1500000000", "512", "9")
    assert facts["cpuset"] == "0"


def test_v1_update_takes_limits_away(v1: Cgroups, tmp_path: Path) -> None:
    v1.create("c", LIMITS)
    v1.update("c", Resources())
    group = "own/c"
    assert (tmp_path / "memory" / group / "memory.limit_in_bytes").read_text() == "-1"
    assert (tmp_path / "cpu" / group / "cpu.cfs_quota_us").read_text() == "-1"
    assert (tmp_path / "pids" / group / "pids.max").read_text() == "max"
    assert (tmp_path / "cpuset" / group / "cpuset.cpus").read_text() == "0-3"


RARER = Resources(cpu_quota=25_000, cpu_period=50_000, swappiness=0, oom_kill_disable=True)


def test_v1_rarer_limits(v1: Cgroups, tmp_path: Path) -> None:
    for name in ("swappiness", "oom_control"):
        (tmp_path / f"memory/own/c/memory.{name}").write_text("")
    v1.create("c", RARER)
    cpu, memory = tmp_path / "cpu/own/c", tmp_path / "memory/own/c"
    assert [(cpu / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")] == ["25000", "50000"]
    assert [(memory / f"memory.{name}").read_text() for name in ("swappiness", "oom_control")] == ["0", "1"]
    assert v1.limits("c")["nano_cpus"][0] == str(RARER.cpu_time) == "500000000"


def test_v1_limits_of_disks(v1: Cgroups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blkio, "number", {"/dev/a": "8:0", "/dev/b": "8:16"}.__getitem__)
    group = tmp_path / "blkio/own/c"
    v1.create("c", Resources(blkio=(BlkioLimit(kind="read_bps", path="/dev/a", rate=5),)))
    assert (group / "blkio.throttle.read_bps_device").read_text() == "8:0 5"
    (group / "blkio.throttle.write_iops_device").write_text("8:0 7")
    v1.update("c", Resources(blkio=(BlkioLimit(kind="read_bps", path="/dev/a", rate=6),)))
    assert (group / "blkio.throttle.read_bps_device").read_text() == "8:0 6"
    assert (group / "blkio.throttle.write_iops_device").read_text() == "8:0 0", "lifted"


def test_v2_limits_of_disks(v2: Cgroups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blkio, "number", {"/dev/a": "8:0", "/dev/b": "8:16"}.__getitem__)
    (tmp_path / "own/c/io.max").write_text("")
    v2.create("c", Resources(blkio=(BlkioLimit(kind="write_bps", path="/dev/a", rate=5),)), ALL_DEVICES)
    assert (tmp_path / "own/c/io.max").read_text() == "8:0 wbps=5"
    v2.update("c", Resources())
    assert (tmp_path / "own/c/io.max").read_text() == "8:0 rbps=max wbps=max riops=max wiops=max"
    v2.update("c", RARER)
    assert (tmp_path / "own/c/cpu.max").read_text() == "25000 50000"


def test_only_block_devices_have_limits() -> None:
    with pytest.raises(ActionError) as caught:
        blkio.number("/dev/null")
    assert caught.value.reason == "bad-request"
    with pytest.raises(ActionError) as caught:
        blkio.number("/dev/nothing")
    assert caught.value.reason == "not-found"


def test_v2_limits(v2: Cgroups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attached: list[tuple[str, bytes]] = []
    monkeypatch.setattr("stackfile.kernel.bpf.attach_device_program", lambda path, code: attached.append((path, code)))
    handle = v2.create("c", LIMITS)
    assert (handle.version, handle.paths) == (2, (str(tmp_path / "own/c"),))
    group = tmp_path / "own/c"
    assert (group / "memory.max").read_text() == "1048576"
    assert (group / "memory.swap.max").read_text() == "1048576"
    assert (group / "cpu.max").read_text() == "150000 100000"
    assert (group / "cpu.weight").read_text() == str(weight(512))
    assert (group / "pids.max").read_text() == "9"
    assert (group / "cpuset.cpus").read_text() == "0"
    assert attached == [(str(group), device_program(DEFAULT_DEVICES))]
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpuset +cpu +io +memory +pids"
    v2.update("c", Resources())
    assert (group / "memory.max").read_text() == "max"
    assert (group / "cpu.max").read_text() == "max 100000"


def test_v2_limits_read_back(v2: Cgroups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackfile.kernel.bpf.attach_device_program", lambda path, code: None)
    v2.create("c", LIMITS, ALL_DEVICES)
    facts = {name: value for name, (value, _) in v2.limits("c").items()}
    assert facts["memory"] == "1048576"
    assert facts["memory_swap"] == "2097152"
    assert (facts["nano_cpus"], facts["pids"]) == ("1500000000", "9")
    assert weight(int(facts["cpu_shares"])) == weight(512)


@pytest.mark.parametrize("given", [2, 3, 100, 512, 1024, 4096, 100_000, 262144])
def test_shares_and_weights(given: int) -> None:
    assert 1 <= weight(given) <= 10000
    assert weight(shares(weight(given))) == weight(given)


@pytest.mark.parametrize(
    ("resources", "total"),
    [
        (Resources(), -1),
        (Resources(memory=5), 10),
        (Resources(memory=5, memory_swap=7), 7),
        (Resources(memory=5, memory_swap=-1), -1),
    ],
)
def test_swap(resources: Resources, total: int) -> None:
    assert swap_total(resources) == total


@pytest.mark.parametrize(("text", "number"), [("max\n", 0), ("-1\n", 0), ("9223372036854771712\n", 0), ("12\n", 12)])
def test_numbers(tmp_path: Path, text: str, number: int) -> None:
    (tmp_path / "f").write_text(text)
    assert read_number(str(tmp_path / "f")) == number
    assert read_number(str(tmp_path / "none")) == 0


def test_device_text() -> None:
    assert device_text(DeviceRule("c", 136, -1, "rwm")) == "c 136:* rwm"
    assert device_text(DeviceRule("b", -1, -1, "m")) == "b *:* m"
    assert device_text(ALL_DEVICES[0]) == "a"


def run_device_program(program: bytes, kind: str, access: str, major: int, minor: int) -> int:
    """A tiny eBPF interpreter for the instructions that device_program uses."""
    asked = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    context = {0: asked << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    registers = [0] * 11
    code = list(struct.iter_unpack("<BBhi", program))
    position = 0
    while True:
        operation, names, offset, immediate = code[position]
        dst, src = names & 15, names >> 4
        position += 1
        match operation:
            case 0x61:
                registers[dst] = context[offset]
            case 0xBF:
                registers[dst] = registers[src]
            case 0xB7:
                registers[dst] = immediate
            case 0x57:
                registers[dst] &= immediate
            case 0x77:
                registers[dst] >>= immediate
            case 0x55:
                position += offset if registers[dst] != immediate else 0
            case 0x95:
                return registers[0]
            case _:
                raise AssertionError(hex(operation))


@pytest.mark.parametrize(
    ("kind", "access", "major", "minor", "allowed"),
    [
        ("c", "rw", 1, 3, True),
        ("c", "rwm", 1, 3, True),
        ("c", "rw", 136, 17, True),
        ("c", "m", 10, 200, True),
        ("c", "r", 10, 200, False),
        ("b", "m", 8, 0, True),
        ("b", "r", 8, 0, False),
        ("b", "mr", 8, 0, False),
        ("c", "r", 1, 1, False),
    ],
)
def test_device_program(kind: str, access: str, major: int, minor: int, allowed: bool) -> None:
    assert run_device_program(device_program(DEFAULT_DEVICES), kind, access, major, minor) == int(allowed)
