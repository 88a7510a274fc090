"""Terminals of containers, by the docker client and by ours: keys, signals, detaching, two at once, what is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from stackfile.errors import StackfileError
from tests import leaks
from tests.conftest import CLIENT
from tests.integration.daemons import Served, needs_docker, served
from tests.integration.workers import wait_for

__all__ = ["served"]
pytestmark = [pytest.mark.root, pytest.mark.peer, needs_docker]
TALK = """stty -echo -ixon; trap 'echo got-I' INT; trap 'echo got-Q' QUIT; trap 'echo got-Z' TSTP; echo ready
while :; do read line && echo "line:$line:"; [ "$line" = end ] && exit 6; done"""
FLOOD = "yes | head -c 200000; echo >/tmp/done"
OWN_PROCESS = (sys.executable, "-I", "-m", "stackfile")


class Way:
    """A client's commands about containers, on terminals and without."""

    def __init__(self, served: Served, name: str, program: tuple[str, ...] = CLIENT) -> None:
        self.served = served
        self.name = name
        self.argv = served.command() if name == "docker" else [*program, "container"]
        own = {} if name == "docker" else served.box.settings.environment()
        self.environment = {**served.environment(), **own}

    def spawn(self, *args: str, rows: int = 30, **environment: str) -> pexpect.spawn:
        return pexpect.spawn(
            self.argv[0],
            [*self.argv[1:], *args],
            env={**self.environment, **environment},
            dimensions=(rows, 100),
            timeout=20,
            encoding="utf-8",
        )

    def popen(self, *args: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.argv, *args], env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip


@pytest.fixture(params=["docker", "ours"])
def way(served: Served, request: pytest.FixtureRequest) -> Iterator[Way]:
    wait_for(lambda: os.path.exists(f"{served.box.settings.run}/worker.sock"))
    yield Way(served, request.param)
    served.clear()


def end(child: pexpect.spawn) -> int:
    child.expect(pexpect.EOF)
    child.close()
    return int(child.exitstatus if child.exitstatus is not None else -child.signalstatus)


def running(served: Served, name: str) -> bool:
    return served.client.container(name).state.status == "running"


def test_keys_detaching_and_two_at_once(way: Way) -> None:
    child = way.spawn("run", "-it", "--name", "talk", "busybox", "sh", "-c", TALK)
    child.expect("ready")
    for key, answer in (("\x03", "got-I"), ("\x1c", "got-Q"), ("\x1a", "got-Z")):
        child.send(key)
        child.expect(answer)
    # What only begins the detach keys is passed on; they are found over two reads.
    child.send("\x10")
    child.send("b\r")
    child.expect("line:\x10b:")
    child.send("\x10")
    child.send("\x11")
    assert end(child) == 0
    assert running(way.served, "talk")
    _two_at_once(way)
    stopped = way.popen("attach", "talk")
    out, _ = stopped.communicate(timeout=20)
    assert stopped.returncode == (1 if way.name == "docker" else 125)
    assert b"stopped container" in out or b"not running" in out


def _two_at_once(way: Way) -> None:
    """Both see all of the output, either types, one that leaves does not disturb the other; keys as each has said."""
    one = way.spawn("attach", "--detach-keys", "ctrl-a,x", "talk")
    one.send("one\r")
    one.expect("line:one:")
    directory = Path(way.environment["HOME"]) / ".docker"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"detachKeys": "ctrl-e,e"}))
    try:
        two = way.spawn("attach", "talk", rows=41)
        two.send("two\r")
        for child in (one, two):
            child.expect("line:two:")
        one.send("three\r")
        for child in (one, two):
            child.expect("line:three:")
        one.send("\x10\x11\r")
        one.expect("line:\x10\x11:")
        one.send("\x01x")
        assert end(one) == 1
        two.send("four\r")
        two.expect("line:four:")
        two.send("\x05e")
        assert end(two) == 1
    finally:
        (directory / "config.json").unlink()
    last = way.spawn("attach", "talk", STACKFILE_DETACH_KEYS="ctrl-b")
    last.send("end\r")
    assert end(last) == 6


def test_what_is_no_key_is_refused(way: Way) -> None:
    if way.name == "ours":
        for words in (("run", "-it", "busybox", "sh"), ("attach", "x"), ("exec", "-it", "x", "sh")):
            child = way.spawn(words[0], "--detach-keys", "ctrl-foo", *words[1:])
            assert end(child) == 125
        assert way.served.client.containers() == []
        return
    way.served.docker("run", "-dit", "--name", "talk", "busybox", "sh")
    for words in (("attach", "talk"), ("exec", "-it", "talk", "sh")):
        child = way.spawn(words[0], "--detach-keys", "ctrl-foo", *words[1:])
        child.expect("400|Invalid detach keys")
        assert end(child) == 1


def test_commands_outlive_their_clients(way: Way) -> None:
    """Whether the user has detached or the client was killed: they neither block nor get SIGPIPE."""
    way.served.docker("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    child = way.spawn("exec", "-it", "host", "sh", "-c", f"stty -echo; echo ready; read x; sleep 0.3; {FLOOD}")
    child.expect("ready")
    child.send("go\r\x10\x11")
    assert end(child) == 1
    wait_for(lambda: way.served.docker("exec", "host", "rm", "/tmp/done", code=None).returncode == 0)
    process = way.popen("exec", "-i", "host", "sh", "-c", f"echo ready; cat; {FLOOD}")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.communicate()
    wait_for(lambda: way.served.docker("exec", "host", "rm", "/tmp/done", code=None).returncode == 0)


def test_signals_without_a_terminal(way: Way) -> None:
    script = """for s in HUP USR1 INT; do trap "echo got $s" $s; done; trap 'exit 7' TERM
    echo up; while :; do sleep 0.05; done"""
    process = way.popen("run", "--name", "loop", "busybox", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT):
        process.send_signal(number)
        assert process.stdout.readline() == f"got {number.name[3:]}\n".encode()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 7
    if way.name == "ours":
        process = way.popen("run", "--sig-proxy=false", "--name", "other", "busybox", "sh", "-c", script)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 143
        assert running(way.served, "other")


def test_the_terminal_after_a_client_that_was_told_to_end(served: Served) -> None:
    served.docker("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    for program in (CLIENT, OWN_PROCESS):
        for number in (signal.SIGTERM, signal.SIGHUP):
            child = Way(served, "ours", program).spawn("exec", "-it", "host", "sh")
            before = termios.tcgetattr(child.child_fd)
            child.expect("[#$] ")
            assert termios.tcgetattr(child.child_fd) != before
            child.kill(number)
            child.expect(pexpect.EOF)
            assert termios.tcgetattr(child.child_fd) == before
            child.close()
            assert child.exitstatus == 128 + number
    assert running(served, "host")
    served.clear()


VERBS = (("run", "-it", "--name", "shell", "busybox", "sh"), ("attach", "shell"), ("exec", "-it", "shell", "sh"))


def test_a_killed_worker_and_a_killed_daemon(served: Served) -> None:
    """The command ends and says so, the terminal is as before, the container lives and can be attached to again."""
    ours = Way(served, "ours")
    before = _modes()
    for victim, code, words in (("worker", 137, "ended by signal 9"), ("daemon", 125, "ended the connection")):
        children = [_at_its_prompt(ours.spawn(*verb)) for verb in VERBS]
        workers = [_worker_of(served, child) for child in children]
        for pid in workers if victim == "worker" else _processes(served, "stackfile.daemon"):
            os.kill(pid, signal.SIGKILL)
        for child in children:
            child.expect(words)
            child.expect(pexpect.EOF)
            assert termios.tcgetattr(child.child_fd) == before
            child.close()
            assert child.exitstatus == code
        wait_for(lambda: _answers(served))
        assert running(served, "shell")
        if victim == "worker":
            served.clear()
    child = ours.spawn("attach", "shell")
    child.send("exit 9\r")
    assert end(child) == 9
    served.clear()


def _modes() -> list[object]:
    """Of a terminal that nobody has changed yet."""
    master, slave = os.openpty()
    try:
        return list(termios.tcgetattr(master))
    finally:
        os.close(master)
        os.close(slave)


def _at_its_prompt(child: pexpect.spawn) -> pexpect.spawn:
    child.send("\r")
    child.expect("[#$] ")
    return child


def _answers(served: Served) -> bool:
    try:
        served.client.ping()
    except StackfileError:
        return False
    return os.path.exists(f"{served.box.settings.run}/worker.sock")


def _processes(served: Served, name: str) -> list[int]:
    found = []
    for pid in leaks.descendants([served.box.supervisor]):
        try:
            if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def _worker_of(served: Served, child: pexpect.spawn) -> int:
    """The worker that has the client's terminal as stdin."""
    device = _device(child.pid)
    (found,) = (pid for pid in _processes(served, "stackfile.worker") if _device(pid) == device)
    return found


def _device(pid: int) -> int:
    try:
        status = os.stat(f"/proc/{pid}/fd/0")
    except OSError:
        return -1
    return status.st_rdev
