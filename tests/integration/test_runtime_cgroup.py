"""Real groups: limits, freezing, killing, removal on this machine's hierarchies; v2 where a unified tree is mounted."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile.errors import KernelError
from stackfile.model.stack import Resources
from stackfile.runtime.cgroup import Cgroups
from stackfile.runtime.cgroup.hierarchy import detect
from tests.conftest import own_settings
from tests.integration.shimbox import make_rootfs, shimbox

pytestmark = pytest.mark.root


def hierarchies() -> list[str]:
    found = detect()
    return [name for name, there in (("v1", found.version == 1), ("v2", bool(found.v2))) if there]


@pytest.fixture(params=hierarchies())
def cgroups(request: pytest.FixtureRequest) -> Iterator[Cgroups]:
    found = detect()
    if request.param == "v2":
        found = replace(found, version=2)
    made = Cgroups(f"sftest{os.getpid()}", found)
    yield made
    for identity in made.identities():
        made.kill_all(identity)
        made.remove(identity)
    made.remove_parent()


def sleeper(cgroups: Cgroups, identity: str, *argv: str) -> subprocess.Popen[bytes]:
    """A process in the group."""
    paths = cgroups.handle(identity).paths

    def join() -> None:
        for path in paths:
            Path(path, "cgroup.procs").write_text("0")

    return subprocess.Popen(argv or ("sleep", "100"), preexec_fn=join, stderr=subprocess.DEVNULL)


def test_life(cgroups: Cgroups) -> None:
    cgroups.create("c", Resources())
    assert cgroups.exists("c")
    assert cgroups.identities() == ["c"]
    process = sleeper(cgroups, "c")
    assert cgroups.processes("c") == [process.pid]
    with pytest.raises(KernelError):
        cgroups.remove("c")
    cgroups.kill_all("c")
    assert process.wait(5) == -signal.SIGKILL
    cgroups.remove("c")
    cgroups.remove("c")
    assert not cgroups.exists("c")
    assert cgroups.read("c").memory == 0


def test_freeze(cgroups: Cgroups) -> None:
    cgroups.create("c", Resources())
    process = sleeper(cgroups, "c", "sh", "-c", "while :; do :; done")
    cgroups.freeze("c")
    before = ticks(process.pid)
    time.sleep(0.1)
    assert ticks(process.pid) == before
    cgroups.thaw("c")
    deadline = time.monotonic() + 10
    while ticks(process.pid) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ticks(process.pid) > before
    cgroups.freeze("c")
    cgroups.kill_all("c")
    cgroups.thaw("c")
    assert process.wait(5) == -signal.SIGKILL


def ticks(pid: int) -> int:
    return sum(int(field) for field in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])


def test_devices(cgroups: Cgroups, tmp_path: Path) -> None:
    cgroups.create("c", Resources())
    os.mknod(tmp_path / "loop", 0o660 | 0o060000, os.makedev(7, 0))
    assert sleeper(cgroups, "c", "cat", str(tmp_path / "loop")).wait(10) != 0
    assert sleeper(cgroups, "c", "sh", "-c", "echo x > /dev/null && head -c1 /dev/urandom > /dev/null").wait(10) == 0
    assert sleeper(cgroups, "c", "mknod", str(tmp_path / "made"), "b", "7", "1").wait(10) == 0


def test_limits_and_usage() -> None:
    if "v1" not in hierarchies():
        pytest.skip("needs the controllers on v1")
    cgroups = Cgroups(f"sftest{os.getpid()}")
    try:
        cgroups.create("c", Resources(memory=64 << 20, nano_cpus=500_000_000, pids=20))
        process = sleeper(cgroups, "c")
        stats = cgroups.read("c")
        assert cgroups.usage("c")[1] == stats.pids
        assert (stats.memory_limit, stats.pids, stats.pids_limit) == (64 << 20, 1, 20)
        assert stats.memory > 0
        assert stats.cpu_ns > 0
        for resources in (Resources(memory=256 << 20), Resources(memory=32 << 20, pids=5), Resources()):
            cgroups.update("c", resources)
            facts = {name: value for name, (value, _) in cgroups.limits("c").items()}
            assert (facts["memory"], facts["pids"]) == (str(resources.memory), str(resources.pids))
        cgroups.kill_all("c")
        process.wait(5)
    finally:
        cgroups.remove("c")
        cgroups.remove_parent()


def test_a_refused_limit_leaves_nothing() -> None:
    cgroups = Cgroups(f"sftest{os.getpid()}")
    with pytest.raises(KernelError) as caught:
        cgroups.create("c", Resources(cpuset="9999"))
    assert "cpuset.cpus" in str(caught.value)
    assert not cgroups.exists("c")
    cgroups.remove_parent()


def test_a_container_is_born_in_its_v2_group(tmp_path: Path) -> None:
    found = detect()
    if not found.v2:
        pytest.skip("no unified hierarchy is mounted")

    async def run() -> None:
        async with shimbox(own_settings(tmp_path), make_rootfs(tmp_path / "rootfs")) as box:
            box.cgroups = Cgroups(box.settings.cgroup_parent, replace(found, version=2))
            text = "cat /proc/self/cgroup; test -f /sys/fs/cgroup/cgroup.procs && echo here; echo x > /dev/null"
            end, out, err = await box.run("two", "sh", "-c", text)
            assert (end.status, err) == (0, "")
            assert "0::/\n" in out
            assert "here\n" in out
            await box.start("long", "sleep", "100")
            status, out = await box.exec("long", "cat", "/proc/self/cgroup")
            assert status == 0
            assert "0::/\n" in out
            assert len(box.cgroups.processes(box.made["long"].container)) == 1
            box.cgroups.kill_all(box.made["long"].container)
            assert (await box.ended("long")).status == 137

    asyncio.run(run())
