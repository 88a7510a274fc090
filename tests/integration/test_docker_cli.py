"""The real docker CLI against our daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pexpect
import pytest

from tests.integration.daemons import Served, needs_docker, served

__all__ = ["served"]
pytestmark = [pytest.mark.root, pytest.mark.peer, needs_docker]
LOOP = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done"


@pytest.fixture(autouse=True)
def cleared(served: Served) -> Iterator[None]:
    yield
    served.clear()


def test_version_and_info(served: Served) -> None:
    version = json.loads(served.docker("version", "--format", "{{json .Server}}").stdout)
    assert version["ApiVersion"] == "1.42"
    assert served.docker("info", "--format", "{{.ServerErrors}} {{.OSType}}").stdout.strip() == "[] linux"


def test_images(served: Served) -> None:
    assert "busybox" in served.docker("images").stdout
    identity = served.docker("inspect", "--type", "image", "-f", "{{.Id}}", "busybox").stdout.strip()
    assert served.docker("images", "-q", "--no-trunc", "busybox").stdout.strip() == identity
    served.docker("tag", "busybox", "other/name:1")
    assert served.docker("images", "-q", "other/name").stdout
    assert "Untagged: other/name:1" in served.docker("rmi", "other/name:1").stdout
    assert served.docker("history", "-q", "busybox").stdout
    missing = served.docker("inspect", "--type", "image", "nothing", code=1)
    assert "No such image: nothing" in missing.stderr


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        (("echo", "hello"), 0, "hello\n", ""),
        (("sh", "-c", "echo out; echo err >&2; exit 3"), 3, "out\n", "err\n"),
        (("sh", "-c", "exit 200"), 200, "", ""),
        (("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"), 0, "x" * 3_000_000, ""),
    ],
)
def test_run(served: Served, command: tuple[str, ...], code: int, out: str, err: str) -> None:
    done = served.docker("run", "--rm", "busybox", *command, code=code)
    assert (done.stdout, done.stderr) == (out, err)
    assert served.docker("ps", "-aq").stdout == ""


@pytest.mark.parametrize(("program", "code"), [("nothing-of-this-name", 127), ("/etc", 126)])
def test_run_of_what_cannot_be_run(served: Served, program: str, code: int) -> None:
    done = served.docker("run", "--rm", "busybox", program, code=code)
    assert "Error response from daemon" in done.stderr
    assert served.docker("ps", "-aq").stdout == ""


def test_run_of_an_image_that_is_not_here(served: Served) -> None:
    done = served.docker("run", "--rm", "nothing", "true", code=125)
    assert "Unable to find image 'nothing:latest' locally" in done.stderr


def test_run_reads_stdin_to_its_end(served: Served) -> None:
    text = "".join(f"line {number}\n" for number in range(50_000))
    assert served.docker("run", "--rm", "-i", "busybox", "cat", stdin=text).stdout == text


def test_run_with_a_terminal(served: Served) -> None:
    argv = served.command("run", "--rm", "-it", "busybox", "sh")
    child = pexpect.spawn(argv[0], argv[1:], env=served.environment(), dimensions=(33, 101), timeout=20)
    child.expect("[#$] ")
    child.sendline("stty size")
    child.expect("33 101")
    child.setwinsize(20, 70)
    time.sleep(0.5)
    child.sendline("stty size")
    child.expect("20 70")
    child.sendline("exit 7")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 7


def test_detach_and_attach(served: Served) -> None:
    argv = served.command("run", "-it", "--name", "shell", "busybox", "sh")
    child = pexpect.spawn(argv[0], argv[1:], env=served.environment(), timeout=20)
    child.expect("[#$] ")
    child.send("\x10\x11")
    child.expect(pexpect.EOF)
    child.close()
    assert served.docker("inspect", "-f", "{{.State.Status}}", "shell").stdout.strip() == "running"
    argv = served.command("attach", "shell")
    child = pexpect.spawn(argv[0], argv[1:], env=served.environment(), timeout=20)
    child.sendline("echo $((40+2))")
    child.expect("42")
    child.sendline("exit 4")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 4


def test_ctrl_c_goes_to_the_container(served: Served) -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    process = served.popen("run", "--rm", "busybox", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == b"caught\n"
    assert process.returncode == 9


def test_life_of_a_container(served: Served) -> None:
    served.docker(
        "run", "-d", "--name", "web", "-p", "127.0.0.1::80", "-v", "stuff:/data", "-e", "A=1", "--memory", "64m",
        "--cpus", "0.5", "--pids-limit", "50", "--label", "team=a", "--restart", "on-failure:3", "--hostname", "web1",
        "--ulimit", "nofile=100:200", "--tmpfs", "/t:size=1m", "--add-host", "db:10.0.0.9", "busybox", "sh", "-c", LOOP,
    )  # fmt: skip
    assert (
        served.docker("ps", "--filter", "label=team=a", "--format", "{{.Names}} {{.State}}").stdout == "web running\n"
    )
    shown = json.loads(served.docker("inspect", "web").stdout)[0]
    assert shown["HostConfig"]["Memory"] == 64 << 20
    assert shown["HostConfig"]["NanoCpus"] == 500_000_000
    assert shown["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert shown["Config"]["Hostname"] == "web1"
    assert {mount["Destination"] for mount in shown["Mounts"]} >= {"/data"}
    assert served.docker("port", "web", "80").stdout.startswith("127.0.0.1:")
    inside = served.docker("exec", "web", "sh", "-c", "hostname; ulimit -n; cat /etc/hosts; echo $A").stdout
    assert inside.startswith("web1\n100\n")
    assert "10.0.0.9\tdb" in inside
    assert "sh -c" in served.docker("top", "web").stdout
    assert "MEM USAGE" in served.docker("stats", "--no-stream", "web").stdout
    served.docker("pause", "web")
    assert "(Paused)" in served.docker("ps").stdout
    served.docker("unpause", "web")
    served.docker("update", "--memory", "96m", "--memory-swap", "-1", "web")
    assert served.docker("inspect", "-f", "{{.HostConfig.Memory}}", "web").stdout.strip() == str(96 << 20)
    served.docker("rename", "web", "shop")
    served.docker("restart", "-t", "0", "shop")
    assert served.docker("rm", "shop", code=1).stderr
    served.docker("stop", "-t", "1", "shop")
    assert "137" in served.docker("inspect", "-f", "{{.State.ExitCode}}", "shop").stdout
    assert "is not running" in served.docker("kill", "shop", code=1).stderr
    served.docker("start", "shop")
    served.docker("start", "shop")
    served.docker("kill", "-s", "KILL", "shop")
    assert served.docker("wait", "shop").stdout.strip() == "137"
    served.docker("rm", "-v", "shop")
    assert "No such container: shop" in served.docker("rm", "shop", code=1).stderr
    assert "stuff" in served.docker("volume", "ls", "-q").stdout
    served.docker("volume", "rm", "stuff")


def test_two_containers_of_one_name(served: Served) -> None:
    served.docker("create", "--name", "one", "busybox", "true")
    assert served.docker("create", "--name", "one", "busybox", "true", code=1).stderr


def test_logs(served: Served) -> None:
    served.docker("run", "--name", "talk", "busybox", "sh", "-c", "echo a; echo b >&2; sleep 1.2; echo c; printf d")
    both = served.docker("logs", "talk")
    assert (both.stdout, both.stderr) == ("a\nc\nd", "b\n")
    assert served.docker("logs", "--tail", "1", "talk").stdout == "d"
    (first, text), (late, _) = (
        line.split(" ", 1) for line in served.docker("logs", "-t", "talk").stdout.splitlines()[:2]
    )
    assert text == "a"
    assert len(first) == len("2026-01-01T00:00:00.000000000Z")
    assert served.docker("logs", "--since", first, "talk").stdout == "a\nc\nd"
    assert served.docker("logs", "--since", late, "talk").stdout == "c\nd"
    assert served.docker("logs", "--until", first, "talk").stdout in ("a\n", "")


def test_logs_follow_until_the_end(served: Served) -> None:
    served.docker(
        "run", "-d", "--name", "talk", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done"
    )
    process = served.popen("logs", "-f", "talk")
    assert process.communicate(timeout=20)[0] == b"1\n2\n3\n4\n5\n"
    assert process.returncode == 0


def test_logs_follow_over_restarts_and_rotation(served: Served) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; done; exit 1"
    options = ("--restart", "on-failure:2", "--log-opt", "max-size=8k", "--log-opt", "max-file=9")
    served.docker("run", "-d", "--name", "again", *options, "busybox", "sh", "-c", f"sleep 0.5; {script}")
    process = served.popen("logs", "-f", "again")
    lines = process.communicate(timeout=30)[0].decode().split()
    assert lines == [str(number) for number in range(1, 3001)] * 3


def test_logs_of_a_terminal_are_raw(served: Served) -> None:
    served.docker("run", "-d", "-t", "--name", "term", "busybox", "sh", "-c", "echo colour")
    served.docker("wait", "term")
    # Python reads the terminal's \r\n as a newline.
    assert served.docker("logs", "term").stdout == "colour\n"


def test_exec(served: Served) -> None:
    served.docker("run", "-d", "--name", "host", "-e", "A=1", "busybox", "sleep", "100")
    done = served.docker("exec", "host", "sh", "-c", "echo out; echo err >&2; exit 5", code=5)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert served.docker("exec", "-i", "host", "cat", stdin="through\n").stdout == "through\n"
    told = served.docker("exec", "-e", "B=2", "-w", "/tmp", "-u", "7:8", "host", "sh", "-c", "echo $A$B; pwd; id -u")
    assert told.stdout == "12\n/tmp\n7\n"
    served.docker("exec", "-d", "host", "sh", "-c", "echo done > /tmp/flag")
    deadline = time.monotonic() + 5
    while served.docker("exec", "host", "cat", "/tmp/flag", code=None).stdout != "done\n":
        assert time.monotonic() < deadline
    assert "not found" in served.docker("exec", "host", "nothing-of-this-name", code=127).stdout
    assert "permission denied" in served.docker("exec", "host", "/etc", code=126).stdout
    argv = served.command("exec", "-it", "host", "sh")
    child = pexpect.spawn(argv[0], argv[1:], env=served.environment(), dimensions=(30, 90), timeout=20)
    child.expect("[#$] ")
    child.sendline("stty size")
    child.expect("30 90")
    child.sendline("exit 6")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 6
    served.docker("kill", "host")
    assert "is not running" in served.docker("exec", "host", "true", code=1).stderr


def test_attach_without_stdin_shows_what_comes(served: Served) -> None:
    served.docker("run", "-d", "--name", "loop", "busybox", "sh", "-c", LOOP)
    process = served.popen("attach", "--no-stdin", "loop")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"line ")
    served.docker("kill", "loop")
    process.communicate(timeout=20)
    assert process.returncode == 137


def test_events(served: Served) -> None:
    process = served.popen("events", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}")
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), True)
    time.sleep(0.5)
    start = time.time()
    served.docker("run", "--rm", "--name", "noisy", "busybox", "true")
    seen = []
    while "container destroy noisy" not in seen:
        seen.append(process.stdout.readline().decode().strip())
    process.terminate()
    process.communicate(timeout=20)
    for action in ("create", "start", "die", "destroy"):
        assert f"container {action} noisy" in seen
    past = served.docker(
        "events", "--since", str(start), "--until", str(time.time()), "--filter", "event=die", "--format", "{{.Action}}"
    )
    assert past.stdout.split() == ["die"]


def test_networks(served: Served) -> None:
    served.docker("network", "create", "--label", "a=1", "front")
    served.docker(
        "run", "-d", "--name", "db", "--network", "front", "--network-alias", "store", "busybox", "sleep", "99"
    )
    shown = json.loads(served.docker("network", "inspect", "front").stdout)[0]
    assert [member["Name"] for member in shown["Containers"].values()] == ["db"]
    assert served.docker("run", "--rm", "--network", "front", "busybox", "ping", "-c1", "-W2", "store").stdout
    assert "front" in served.docker("network", "ls", "--filter", "label=a", "--format", "{{.Name}}").stdout
    assert served.docker("network", "rm", "front", code=1).stderr
    served.docker("run", "-d", "--name", "late", "busybox", "sleep", "99")
    served.docker("network", "connect", "--alias", "later", "front", "late")
    assert served.docker("exec", "db", "ping", "-c1", "-W2", "later").stdout
    served.docker("network", "disconnect", "front", "late")
    served.docker("rm", "-f", "db", "late")
    served.docker("network", "rm", "front")
    assert "network front not found" in served.docker("network", "inspect", "front", code=1).stderr


def test_volumes(served: Served) -> None:
    assert served.docker("volume", "create", "--label", "x=1", "vol").stdout == "vol\n"
    served.docker("run", "--rm", "-v", "vol:/v", "busybox", "sh", "-c", "echo kept > /v/file")
    assert served.docker("run", "--rm", "-v", "vol:/v:ro", "busybox", "cat", "/v/file").stdout == "kept\n"
    assert served.docker("run", "--rm", "-v", "filled:/data", "busybox", "cat", "/data/seed").stdout == "seed\n"
    assert json.loads(served.docker("volume", "inspect", "vol").stdout)[0]["Labels"] == {"x": "1"}
    served.docker("create", "--name", "user", "-v", "vol:/v", "busybox", "true")
    assert "in use" in served.docker("volume", "rm", "vol", code=1).stderr
    served.docker("rm", "user")
    served.docker("volume", "rm", "vol", "filled")


def test_health(served: Served) -> None:
    check = ("--health-cmd", "test -e /tmp/ok", "--health-interval", "1s")
    script = "sleep 0.3; touch /tmp/ok; sleep 99"
    served.docker("run", "-d", "--name", "well", *check, "busybox", "sh", "-c", script)
    deadline = time.monotonic() + 15
    while "(healthy)" not in served.docker("ps").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert served.docker("ps", "-q", "--filter", "health=healthy").stdout


def test_prune(served: Served) -> None:
    served.docker("run", "--name", "old", "busybox", "true")
    assert "Deleted Containers" in served.docker("container", "prune", "-f").stdout
    assert served.docker("ps", "-aq").stdout == ""
    served.docker("volume", "prune", "-f")
    served.docker("network", "prune", "-f")
    served.docker("system", "df")


def test_a_client_that_is_killed_leaves_the_container_alone(served: Served) -> None:
    process = served.popen("run", "--name", "loop", "busybox", "sh", "-c", LOOP)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=20)
    time.sleep(0.3)
    assert served.docker("inspect", "-f", "{{.State.Running}}", "loop").stdout.strip() == "true"


def test_many_at_once(served: Served) -> None:
    processes = [served.popen("run", "--rm", "busybox", "echo", str(number)) for number in range(12)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == [f"{number}\n".encode() for number in range(12)]
    assert [process.returncode for process in processes] == [0] * 12


def test_a_slow_reader_harms_nobody(served: Served) -> None:
    flood = served.popen("run", "--rm", "busybox", "sh", "-c", "yes flood | head -c 20000000; echo; echo end")
    started = time.monotonic()
    assert served.docker("run", "--rm", "busybox", "echo", "quick").stdout == "quick\n"
    assert time.monotonic() - started < 10
    output = flood.communicate(timeout=60)[0]
    assert output.endswith(b"end\n")
    assert len(output) >= 20_000_000


def test_run_prints_the_id_when_detached(served: Served) -> None:
    identity = served.docker("run", "-d", "busybox", "sleep", "99").stdout.strip()
    assert len(identity) == 64
    assert isinstance(identity, str)
    with pytest.raises(subprocess.TimeoutExpired):
        served.docker("wait", identity, timeout=0.5)
