"""Containers through the shim: isolation, rights, streams, ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.model.stack import Mount, Resources, Ulimit
from stackfile.runtime.instructions import BindMount
from tests.conftest import own_settings
from tests.integration.shimbox import Box, end_supervisor, make_rootfs, shimbox, start_supervisor

pytestmark = pytest.mark.root

Scenario = Callable[[Box], Awaitable[Any]]


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture
def play(tmp_path: Path, rootfs: str) -> Callable[[Scenario], Any]:
    """Runs a scenario against a fresh shim."""

    def go(scenario: Scenario) -> Any:
        async def run() -> Any:
            async with shimbox(own_settings(tmp_path), rootfs) as box:
                return await scenario(box)

        return asyncio.run(run())

    return go


def script(text: str) -> tuple[str, ...]:
    return ("sh", "-c", text)


def test_isolation(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        text = "echo $$; hostname; ls /proc | grep -c '^[0-9]'; ip -o link | wc -l; readlink /proc/self/ns/cgroup;"
        text += "df -k /dev/shm | awk 'END {print $2}'"
        end, out, err = await box.run("iso", *script(text))
        assert (end.status, end.known, err) == (0, True, "")
        pid, name, processes, links, group, shm = out.split()
        assert shm == "65536"
        assert (pid, name, links) == ("1", "iso", "1")
        assert int(processes) <= 4
        assert group != os.readlink("/proc/self/ns/cgroup")

    play(scenario)


def test_rights(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        _, out, _ = await box.run("caps", *script("grep -E '^(CapEff|CapBnd|CapInh|Seccomp):' /proc/self/status"))
        fields = dict(line.split(":\t") for line in out.splitlines())
        assert fields["CapEff"] == fields["CapBnd"] == "00000000a80425fb"
        assert (int(fields["CapInh"], 16), fields["Seccomp"]) == (0, "2")
        _, out, _ = await box.run(
            "user", *script("id; grep CapEff /proc/self/status"), user="user", group_add=("extra",)
        )
        assert "uid=1000(user) gid=1000(user) groups=" in out
        assert "2000(extra)" in out
        assert "CapEff:\t0000000000000000" in out
        end, _, err = await box.run("deny", *script("mount -t tmpfs x /tmp"))
        assert end.status != 0
        assert "denied" in err or "permitted" in err
        end, out, _ = await box.run("priv", *script("mount -t tmpfs x /tmp && echo mounted"), privileged=True)
        assert (end.status, out) == (0, "mounted\n")
        _, out, _ = await box.run(
            "nnp", *script("grep NoNewPrivs /proc/self/status"), security_opt=("no-new-privileges",)
        )
        assert out == "NoNewPrivs:\t1\n"

    play(scenario)


def test_masked_and_read_only_paths(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        text = (
            "wc -c < /proc/keys; ls -A /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/panic; touch /sys/x; echo done"
        )
        _, out, err = await box.run("mask", *script(text))
        assert out == "0\n0\ndone\n"
        assert err.count("ead-only") == 2
        end, _, err = await box.run("ro", *script("touch /x"), read_only=True)
        assert (end.status, "ead-only" in err) == (1, True)

    play(scenario)


def test_devices_and_shm(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        text = (
            "echo x > /dev/null; head -c 2 /dev/zero | wc -c; echo hi > /dev/shm/a; df -k /dev/shm | tail -1;"
            "mknod /tmp/d b 7 0; cat /tmp/d; readlink /dev/fd; ls /dev/console"
        )
        _, out, err = await box.run("dev", *script(text), shm_size=8 << 20)
        assert out.splitlines()[0] == "2"
        assert " 8192 " in out
        assert "/proc/self/fd" in out
        assert "not permitted" in err  # the device cgroup lets it be made, not opened
        assert "/dev/console" in err

    play(scenario)


@pytest.mark.parametrize(
    ("text", "code"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("sh -c 'kill -9 $$'; exit $?", 137), ("kill -0 1", 0)],
)
def test_exit_codes(play: Callable[[Scenario], Any], text: str, code: int) -> None:
    async def scenario(box: Box) -> None:
        end, _, _ = await box.run("code", *script(text))
        assert (end.status, end.known, end.oom) == (code, True, False)

    play(scenario)


def test_signals(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("trap", *script("trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.01; done"))
        await box.until(lambda: box.output("trap"))
        identity = box.made["trap"].container
        await box.shim.signal(identity, 15)
        assert (await box.ended("trap")).status == 7
        assert box.output("trap") == "ready\ngot\n"
        with pytest.raises(ConflictError) as caught:
            await box.shim.signal(identity, 15)
        assert caught.value.reason == "not-running"
        await box.start("kill", "sleep", "100")
        await box.shim.signal(box.made["kill"].container, 9)
        assert (await box.ended("kill")).status == 137

    play(scenario)


@pytest.mark.parametrize(
    ("argv", "reason", "code"),
    [
        (("nope",), "command-not-found", 127),
        (("/bin/nope",), "command-not-found", 127),
        (("/etc/passwd",), "command-not-executable", 126),
        (("/etc",), "command-not-executable", 126),
    ],
)
def test_programs_that_cannot_run(
    play: Callable[[Scenario], Any], argv: tuple[str, ...], reason: str, code: int
) -> None:
    async def scenario(box: Box) -> None:
        with pytest.raises(ActionError) as caught:
            await box.start("bad", *argv)
        assert (caught.value.reason, caught.value.details["exit"]) == (reason, code)
        assert await box.shim.running() == []
        assert not os.path.exists(f"{box.made['bad'].run_dir}/stdout")

    play(scenario)


def test_a_failed_step_names_itself(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        with pytest.raises(ActionError) as caught:
            await box.start("bind", "true", binds=[BindMount(source="/nonexistent/x", target="/x")])
        assert caught.value.reason == "action-failed"
        assert "/x" in str(caught.value)
        assert "No such file" in str(caught.value)

    play(scenario)


def test_mounts(play: Callable[[Scenario], Any], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("content\n")
    binds = [
        BindMount(source=str(tmp_path / "data"), target="/made/for/it"),
        BindMount(source=str(tmp_path / "data/file"), target="/made/file", read_only=True),
        BindMount(source=str(tmp_path / "data"), target="/scratch/below", subpath="file"),
    ]

    async def scenario(box: Box) -> None:
        text = "cat /made/file /scratch/below; echo new > /made/for/it/new; echo no > /made/file; ls /scratch"
        tmpfs = Mount(type="tmpfs", target="/scratch")
        _, out, err = await box.run("mount", *script(text), binds=binds, mounts=(tmpfs,))
        assert out == "content\ncontent\nbelow\n"
        assert "ead-only" in err

    play(scenario)
    assert (tmp_path / "data/new").read_text() == "new\n"
    assert (tmp_path / "data/file").read_text() == "content\n"


def test_links_in_the_root_do_not_lead_out(play: Callable[[Scenario], Any], tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    async def scenario(box: Box) -> None:
        made = box.instructions("link", "ls", "/evil", binds=[BindMount(source="/etc/hostname", target="/evil/x/y")])
        os.symlink(f"../../../../../..{outside}", f"{made.root.upper}/evil")
        await box.shim.start(made, None)
        await box.ended("link")

    try:
        play(scenario)
    except ActionError:
        pass  # refusing is as good as staying inside
    assert os.listdir(outside) == []


def test_limits(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        end, _, _ = await box.run(
            "oom", *script("dd if=/dev/zero of=/dev/null bs=200M count=1"), resources=Resources(memory=32 << 20)
        )
        assert (end.status, end.oom) == (137, True)
        _, out, _ = await box.run("pids", *script("cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max"),
                                  resources=Resources(pids=33))  # fmt: skip
        assert out == "33\n"
        _, out, _ = await box.run("nofile", *script("ulimit -n"), ulimits=(Ulimit(name="nofile", soft=100, hard=200),))
        assert out == "100\n"

    play(scenario)


def test_sysctls_and_working_directory(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        _, out, _ = await box.run(
            "sys",
            *script("cat /proc/sys/net/ipv4/ip_unprivileged_port_start; pwd; dnsdomainname; echo $A-$HOME-$HOSTNAME"),
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
            working_dir="/made/here",
            environment=["A=b"],
        )
        assert out.splitlines()[0::3] == ["0", "b-/root-sys"] or out.splitlines()[:2] == ["0", "/made/here"]
        assert out.splitlines()[-1] == "b-/root-sys"

    play(scenario)


def test_init_reaps_and_forwards(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        text = "(sleep 0.01 &) ; sleep 0.1; ps -o stat | grep -c Z; trap 'exit 9' TERM; echo ready; "
        text += "while :; do sleep 0.01; done"
        await box.start("init", *script(text), init=True)
        await box.until(lambda: "ready" in box.output("init"))
        assert box.output("init") == "0\nready\n"
        _, out = await box.exec("init", *script("cat /proc/1/comm; ls /proc/1/fd | wc -l"))
        assert out == "init\n3\n"
        await box.shim.signal(box.made["init"].container, 15)
        assert (await box.ended("init")).status == 9
        # It has the rights of what it runs, who may not look into it all the same.
        await box.start("user", "sleep", "100", init=True, user="1000")
        text = "grep -E '^(Uid|Gid|CapEff|Seccomp):' /proc/1/status; cat /proc/2/cmdline; cat /proc/1/environ; echo $?"
        _, out = await box.exec("user", *script(text))
        rows = out.split("\n")
        assert [row.split()[1:] for row in rows[:2]] == [["1000"] * 4] * 2
        assert [row.split()[1] for row in rows[2:4]] == ["0000000000000000", "2"]
        assert rows[4].startswith("sleep")
        assert (rows[-2], "denied" in out) == ("1", True)

    play(scenario)


def test_terminal(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start(
            "tty", *script("tty; test -c /dev/console && echo ready; read x; echo got $x; exit 4"), tty=True
        )
        await box.until(lambda: "ready" in box.output("tty"))
        master = await box.shim.tty(box.made["tty"].container)
        os.write(master, b"hello\n")
        os.close(master)
        assert (await box.ended("tty")).status == 4
        out = box.output("tty")
        assert out.startswith("/dev/pts/0\r\nready\r\n")
        assert out.endswith("got hello\r\n")

    play(scenario)


def test_stdin(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("cat", "cat", stdin_open=True)
        identity = box.made["cat"].container
        writer = await box.shim.stdin(identity)
        os.write(writer, b"some\n")
        await box.until(lambda: box.output("cat") == "some\n")
        await box.shim.close_stdin(identity)
        os.write(writer, b"more\n")
        os.close(writer)
        assert (await box.ended("cat")).status == 0
        assert box.output("cat") == "some\nmore\n"
        end, out, _ = await box.run("null", "cat")
        assert (end.status, out) == (0, "")

    play(scenario)


def test_stdout_can_be_opened_again_by_a_user(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        end, out, err = await box.run("reopen", *script("echo a > /dev/stdout; echo b > /dev/stderr"), user="1000")
        assert (end.status, out, err) == (0, "a\n", "b\n")

    play(scenario)


def test_exec(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("main", "sleep", "100", resources=Resources(pids=50))
        status, out = await box.exec(
            "main", *script("hostname; echo $$; grep -E 'CapEff|Seccomp:' /proc/self/status; exit 5")
        )
        assert status == 5
        lines = out.splitlines()
        assert lines[0] == "main"
        assert int(lines[1]) > 1
        assert lines[2:] == ["CapEff:\t00000000a80425fb", "Seccomp:\t2"]
        _, out = await box.exec("main", *script("id -u; pwd; echo > /dev/stdout"), user="user", working_dir="/tmp")
        assert out == "1000\n/tmp\n\n"
        _, groups = await box.exec("main", "cat", "/proc/self/cgroup")
        _, own = await box.exec("main", "cat", "/proc/1/cgroup")
        assert groups == own
        with pytest.raises(ActionError) as caught:
            await box.exec("main", "nope")
        assert caught.value.reason == "command-not-found"
        box.cgroups.kill_all(box.made["main"].container)
        await box.ended("main")
        with pytest.raises(ConflictError) as gone:
            await box.exec("main", "true")
        assert gone.value.reason == "not-running"

    play(scenario)


def test_exec_with_a_terminal(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("main", "sleep", "100")
        identity = box.made["main"].container
        await box.shim.exec(box.exec_instructions("main", "one", *script("tty; read x; echo $x"), tty=True), [])
        master = await box.shim.tty(identity, "one")
        os.write(master, b"typed\n")
        end = await box.ended("main", "one")
        output = os.read(master, 4096).removeprefix(b"typed\r\n")  # the echo
        os.close(master)
        assert end.status == 0
        assert output.startswith(b"/dev/pts/")
        assert output.endswith(b"typed\r\n")
        await box.shim.acknowledge(end)

    play(scenario)


def test_a_main_process_takes_its_execs_along(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("main", "sleep", "100")
        null = os.open("/dev/null", os.O_RDWR)
        await box.shim.exec(box.exec_instructions("main", "long", "sleep", "100"), [null, null, null])
        os.close(null)
        assert len(await box.shim.running()) == 2
        await box.shim.signal(box.made["main"].container, 9)
        assert (await box.ended("main", "long")).status == 137
        assert (await box.ended("main")).status == 137

    play(scenario)


def test_output_is_in_the_log_before_the_end_is_told(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        for number in range(10):
            name = f"out{number}"
            await box.start(name, *script("seq 1 20000; echo err >&2"))
            await box.ended(name)
            lines = box.output(name, stderr=False).split()
            assert lines == [str(each) for each in range(1, 20001)]
            assert box.output(name, stdout=False) == "err\n"

    play(scenario)


def test_exec_in_a_container_that_ended_while_nobody_watched(play: Callable[[Scenario], Any]) -> None:
    """Shim and supervisor were both away: there is no process to go into, and how it ended is not known yet."""

    async def scenario(box: Box) -> None:
        running = await box.start("main", "sleep", "100")
        shim = box.supervisor.status()["shim"].pid
        box.process.send_signal(signal.SIGSTOP)
        os.kill(shim, signal.SIGKILL)
        box.cgroups.kill_all(box.made["main"].container)
        end_supervisor(box.process, signal.SIGKILL)
        await box.until(lambda: not os.path.exists(f"/proc/{running.pid}"))
        box.process = start_supervisor(box.settings)
        with pytest.raises(ConflictError) as gone:
            await box.exec("main", "true")
        assert gone.value.reason == "not-running"
        assert (await box.ended("main")).reason

    play(scenario)


def test_output_is_held_back_while_anybody_asks_for_it_and_never_for_ever(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        await box.start("main", *script("mkfifo /fifo; read go </fifo; head -c 8000000 /dev/zero"))
        identity = box.made["main"].container
        await box.shim.hold(identity, "one", 1000)
        await box.shim.hold(identity, "two", 0.01)
        await box.shim.hold(identity, "three", 1000)
        await box.shim.hold(identity, "three", 0)
        await box.exec("main", "sh", "-c", "until test -p /fifo; do :; done; echo go >/fifo")
        with pytest.raises(AssertionError, match="nothing happened"):
            await box.until(lambda: (box.exits and box.exits[-1].exec_id == "") or box.output("main"), 1)
        await box.shim.hold(identity, "one", 0.2)
        assert (await box.ended("main")).status == 0
        assert len(box.output("main")) == 8_000_000
        with pytest.raises(NotFoundError):
            await box.shim.hold("f" * 64, "one", 1)

    play(scenario)


def test_release_lets_go_of_what_an_earlier_shim_had_held(play: Callable[[Scenario], Any]) -> None:
    """One that died after it had handed a container's descriptors over, and before it recorded the container."""

    async def scenario(box: Box) -> None:
        identity = "e" * 64
        for kind in ("stdio", "stdin", "tty"):
            box.supervisor.hold(f"{kind}/{identity}", [0])
        await box.shim.release(identity)
        await box.until(lambda: not box.supervisor.keys())

    play(scenario)


def test_many_at_once(play: Callable[[Scenario], Any]) -> None:
    async def scenario(box: Box) -> None:
        names = [f"many{number}" for number in range(30)]
        await asyncio.gather(*(box.start(name, *script("echo hi; sleep 0.2")) for name in names))
        for name in names:
            assert (await box.ended(name)).status == 0
            assert box.output(name) == "hi\n"

    play(scenario)


def test_a_full_disk_costs_output_only(play: Callable[[Scenario], Any], tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(full)], check=True)

    async def scenario(box: Box) -> None:
        made = box.instructions("full", *script("seq 1 400000; echo end >&2"))
        made = replace(made, logs=replace(made.logs, directory=str(full)))
        box.made["full"] = made
        await box.shim.start(made, None)
        assert (await box.ended("full")).status == 0
        lines = box.output("full", stderr=False).splitlines()
        assert lines[:1000] == [str(number) for number in range(1, 1001)]
        end, out, _ = await box.run("next", "echo", "fine")
        assert (end.status, out) == (0, "fine\n")

    try:
        play(scenario)
    finally:
        subprocess.run(["umount", str(full)], check=True)
