"""What survives: logs over kills of the shim, adoption, ends of orphans; and the supervisor's own life."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stackfile.errors import ActionError
from stackfile.kernel.process import is_alive, start_time
from stackfile.paths import RunPaths
from stackfile.runtime import shim_client
from stackfile.runtime.shim_client import ShimClient
from stackfile.supervisor.client import Supervisor
from tests.conftest import own_settings
from tests.integration.shimbox import Box, end_supervisor, make_rootfs, shimbox, start_supervisor
from tests.integration.test_runtime import Scenario, script

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture
def play(tmp_path: Path, rootfs: str) -> Callable[[Scenario], Any]:
    def go(scenario: Scenario) -> Any:
        async def run() -> Any:
            async with shimbox(own_settings(tmp_path), rootfs) as box:
                return await scenario(box)

        return asyncio.run(run())

    return go


async def killed_and_back(box: Box) -> None:
    before = box.kill_shim()
    await box.until(lambda: box.supervisor.status()["shim"].pid not in (0, before))
    await box.shim.connect()


def test_a_new_shim_takes_containers_over(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        started = await box.start(
            "live", *script("echo before; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo after; exit 6")
        )
        await killed_and_back(box)
        assert await box.shim.running() == [started]
        assert await box.exec("live", "touch", "/tmp/go") == (0, "")
        end = await box.ended("live")
        assert (end.status, end.known, end.pid) == (6, True, started.pid)
        assert box.output("live") == "before\nafter\n"
        await box.until(lambda: box.supervisor.exits() == [])

    play(scenario)


def test_an_end_while_no_shim_lives_is_known(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        started = await box.start("gone", *script("echo out; sleep 100"))
        await box.until(lambda: box.output("gone") == "out\n")
        before = box.kill_shim()
        os.kill(started.pid, signal.SIGKILL)
        await box.until(lambda: box.supervisor.status()["shim"].pid not in (0, before))
        end = await box.ended("gone")
        assert (end.status, end.known) == (137, True)
        assert box.output("gone") == "out\n"

    play(scenario)


def test_no_line_is_lost_over_kills_of_the_shim(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start(
            "seq",
            *script("i=0; while [ $i -lt 60 ]; do seq $((i*1000+1)) $((i*1000+1000)); i=$((i+1)); sleep 0.01; done"),
        )
        for _ in range(5):
            await asyncio.sleep(0.05)
            await killed_and_back(box)
        end = await box.ended("seq", timeout=60)
        assert end.status == 0
        assert box.output("seq").split() == [str(number) for number in range(1, 60001)]

    play(scenario)


def test_a_terminal_survives_the_shim(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("tty", *script("echo one; read x; echo $x; exit 3"), tty=True)
        await box.until(lambda: "one" in box.output("tty"))
        await killed_and_back(box)
        master = await box.shim.tty(box.made["tty"].container)
        os.write(master, b"two\n")
        os.close(master)
        assert (await box.ended("tty")).status == 3
        assert box.output("tty") == "one\r\ntwo\r\ntwo\r\n"

    play(scenario)


def test_stdin_stays_open_over_the_shim(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("cat", "cat", stdin_open=True)
        await killed_and_back(box)
        identity = box.made["cat"].container
        writer = await box.shim.stdin(identity)
        os.write(writer, b"x\n")
        await box.until(lambda: box.output("cat") == "x\n")
        os.close(writer)
        await box.shim.close_stdin(identity)
        assert (await box.ended("cat")).status == 0

    play(scenario)


def test_ends_are_sent_again_until_acknowledged(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("once", *script("exit 8"))
        end = await box.ended("once")
        for _ in range(2):
            seen: list[Any] = []
            other = ShimClient(RunPaths(box.settings.run).shim, seen.append)
            await other.connect()
            await box.until(lambda: seen)  # noqa: B023
            assert seen == [end]
            await other.close()
        await killed_and_back(box)
        seen = []
        other = ShimClient(RunPaths(box.settings.run).shim, seen.append)
        await other.connect()
        await box.until(lambda: seen)
        assert seen == [end]
        await other.acknowledge(end)
        await killed_and_back(box)
        seen.clear()
        await other.running()
        assert seen == []
        await other.release(end.container)
        await other.close()
        assert box.supervisor.keys() == []

    play(scenario)


def test_a_reader_that_stops_reading_stops_nothing(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        deaf = ShimClient(RunPaths(box.settings.run).shim, lambda _: None)
        await deaf.connect()
        assert deaf._socket is not None
        asyncio.get_running_loop().remove_reader(deaf._socket)
        for number in range(3):
            await box.run(f"r{number}", "true")
        await deaf.close()

    play(scenario)


def test_a_shim_that_hangs_is_not_waited_for(play: Callable[[Scenario], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(box: Box) -> None:
        await box.shim.running()
        shim = box.supervisor.status()["shim"].pid
        monkeypatch.setattr(shim_client, "_CALL_TIMEOUT", 0.2)
        os.kill(shim, signal.SIGSTOP)
        try:
            with pytest.raises(ActionError) as caught:
                await box.shim.running()
            assert (caught.value.reason, caught.value.message) == ("timeout", "shim: running took longer than 0.2 s")
        finally:
            os.kill(shim, signal.SIGCONT)
            monkeypatch.undo()
        assert await box.shim.running() == []

    play(scenario)


def test_containers_outlive_the_supervisor(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        text = "echo before; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo after; exit 6"
        started = await box.start("live", *script(text))
        typed = await box.start("tty", *script("stty size; read x; echo $x; exit 3"), tty=True)
        await box.until(lambda: box.output("tty"))
        shim = box.supervisor.status()["shim"].pid
        end_supervisor(box.process, signal.SIGKILL)
        box.process = start_supervisor(box.settings)
        assert box.supervisor.status()["shim"].pid == shim
        # It has what must survive the shim again: that one is not its child, and comes back all the same.
        await box.until(lambda: len(box.supervisor.keys("tty")) == 1)
        await killed_and_back(box)
        assert sorted(row.pid for row in await box.shim.running()) == sorted((started.pid, typed.pid))
        master = await box.shim.tty(box.made["tty"].container)
        os.write(master, b"two\n")
        os.close(master)
        end = await box.ended("tty")
        assert end.status == 3 or end.reason
        assert "two" in box.output("tty")
        assert await box.exec("live", "touch", "/tmp/go") == (0, "")
        end = await box.ended("live")
        assert (end.status, end.known) == (6, True) if end.known else end.reason
        assert box.output("live") == "before\nafter\n"

    play(scenario)


def test_held_descriptors(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        supervisor = box.supervisor
        read, write = os.pipe()
        supervisor.hold("a/b", [read])
        supervisor.hold("a/b/c", [read, write])
        supervisor.hold("a/bc", [read])
        os.close(read)
        os.write(write, b"kept")
        os.close(write)
        assert sorted(supervisor.keys("a/b")) == ["a/b", "a/b/c"]
        found = supervisor.fetch("a/b")
        assert os.read(found[0], 10) == b"kept"
        os.close(found[0])
        supervisor.drop("a/b")
        assert supervisor.keys() == ["a/bc"]
        assert supervisor.fetch("a/b") == []
        started = time.perf_counter()
        for _ in range(100):
            supervisor.keys()
        assert (time.perf_counter() - started) / 100 < 0.005

    play(scenario)


# ---- the whole engine's processes


def start_engine(settings: Any, *passed: int, **options: Any) -> tuple[int, str]:
    """Run the supervisor as a client would: (exit code of the starting process, what it said)."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "stackfile.supervisor", "--ready-fd", str(write)],
        env={**os.environ, **settings.environment()},
        pass_fds=[write, *passed],
        **options,
    )
    os.close(write)
    said = b""
    while chunk := os.read(read, 4096):
        said += chunk
    os.close(read)
    return process.wait(30), said.decode()


def alive(pid: int) -> bool:
    """There, and not a zombie that waits for the machine's init."""
    return is_alive(pid, start_time(pid))


def wait_for(check: Callable[[], Any], timeout: float = 15) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := check()):
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)
    return found


def strange() -> None:
    """What a process may leave to those that it starts, and an engine must not have."""
    os.setsid()
    os.umask(0o077)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGALRM, signal.SIGTERM})


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    """A whole engine in the background, started by a caller with habits of its own."""
    settings = own_settings(tmp_path)
    monkeypatch.setenv("SECRET", "of the caller")
    with open("/etc/passwd") as file:
        assert start_engine(settings, file.fileno(), preexec_fn=strange, cwd=tmp_path) == (0, "ok\n")
    supervisor = Supervisor(RunPaths(settings.run).supervisor)
    yield supervisor
    status = supervisor.status()
    supervisor.stop()
    supervisor.close()
    wait_for(lambda: not any(alive(row.pid) for row in status.values() if row.pid))


def test_one_engine_a_run_root(engine: Supervisor, tmp_path: Path) -> None:
    settings = own_settings(tmp_path)
    assert start_engine(settings) == (75, "")


def test_it_is_a_daemon_of_its_own(engine: Supervisor) -> None:
    # One that was just forked has the command line and the environment of the supervisor until it executes its program.
    wait_for(lambda: (row := engine.status()["worker"]).pid and b".worker" in _command(row.pid))
    status = engine.status()
    session = os.getsid(status["supervisor"].pid)
    assert session not in (os.getsid(0), status["supervisor"].pid)  # so it never gets a terminal by opening one
    assert len(status) == 5
    for name, row in status.items():
        place = f"/proc/{row.pid}"
        assert os.getsid(row.pid) == session
        assert os.readlink(f"{place}/cwd") == "/"
        if name != "supervisor":  # of that one the kernel shows what its caller gave it
            rows = Path(f"{place}/environ").read_bytes().split(b"\0")
            names = {line.partition(b"=")[0].decode() for line in rows if line}
            assert all(each == "PATH" or each.startswith("STACKFILE_") for each in names), names
        groups = Path(f"{place}/cgroup").read_text()
        assert "/engine" in groups
        assert groups != Path("/proc/self/cgroup").read_text()
        fields = dict(line.split(":\t", 1) for line in Path(f"{place}/status").read_text().splitlines())
        assert fields["Umask"] == "0022", name
        assert int(fields["SigBlk"], 16) == 0, name
        # Python itself ignores SIGPIPE and SIGXFSZ.
        assert int(fields["SigIgn"], 16) == sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ)), name
        descriptors = {int(each): os.readlink(f"{place}/fd/{each}") for each in os.listdir(f"{place}/fd")}
        assert descriptors[0] == "/dev/null"
        assert descriptors[1] == descriptors[2] == row.log
        assert "/etc/passwd" not in descriptors.values()
        # A fork copies the thread that calls it alone: with others a lock could stay taken for ever in the child.
        assert name == "daemon" or fields["Threads"] == "1", name


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("name", ["daemon", "resolver", "shim", "worker"])
def test_killed_children_come_back(engine: Supervisor, name: str) -> None:
    before = wait_for(lambda: (row := engine.status()[name]).pid and row)
    os.kill(before.pid, signal.SIGKILL)
    after = wait_for(lambda: (row := engine.status()[name]).pid not in (0, before.pid) and row)
    assert after.restarts == before.restarts + 1
    wait_for(lambda: os.path.exists(f"/proc/{engine.status()['daemon'].pid}"))


def test_stop_leaves_nothing(tmp_path: Path) -> None:
    settings = own_settings(tmp_path)
    assert start_engine(settings) == (0, "ok\n")
    supervisor = Supervisor(RunPaths(settings.run).supervisor)
    pids = [row.pid for row in supervisor.status().values()]
    supervisor.stop()
    supervisor.close()
    wait_for(lambda: not any(alive(pid) for pid in pids))
    paths = RunPaths(settings.run)
    assert not any(os.path.exists(path) for path in (paths.supervisor, paths.shim, paths.resolver, paths.socket))
    with open(paths.lock) as lock:
        assert lock.read() == ""
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    groups = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup" in line]
    assert not any(os.path.exists(f"{group}/{settings.cgroup_parent}") for group in groups)


def test_a_child_that_does_not_start_is_told(tmp_path: Path) -> None:
    settings = own_settings(tmp_path)
    os.makedirs(settings.root)
    Path(settings.root, "state.db").write_bytes(b"not a database" * 100)
    code, said = start_engine(settings)
    assert code == 0
    assert said.startswith("error: daemon")
    # Nothing runs that would need it: it ends, and is in nobody's way.
    wait_for(lambda: _is_free(RunPaths(settings.run).lock))
    assert not os.path.exists(RunPaths(settings.run).supervisor)


def _is_free(path: str) -> bool:
    with open(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
