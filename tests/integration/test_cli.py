"""The command line against a real engine: output, exit codes, standard streams."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import Box
from tests.integration.workers import wait_for

pytestmark = pytest.mark.root

STACK = """name: demo
values:
  word: hello
images:
  base:
    from: scratch
    steps:
      - host: {programs: [sh, sleep, cat]}
services:
  web:
    image: base
    command: [sh, -c, 'echo "{{ values.word }} from $$HOSTNAME"; echo oops >&2; sleep 1000']
    hostname: web
    stop_grace_period: 1s
    deploy: {replicas: 2}
  job:
    image: base
    command: [sh, -c, 'echo job; sleep 1000']
    stop_grace_period: 1s
    mem_limit: 64m
    volumes: ["data:/data"]
volumes:
  data: {}
"""
IMAGE = "demo/base"


def test_the_life_of_a_stack(box: Box) -> None:
    box.stack(STACK)
    up = box.run("up")
    lines = up.stdout.splitlines()
    assert lines[0] == "demo · stack.yaml · embedded engine"
    assert any(re.match(r" ✔ service\.web\[1\.\.2\] +running ", line) for line in lines)
    assert re.fullmatch(r"Up: 3 containers, 5 resources created in \d+\.\d s\. Logs: stackfile logs -f", lines[-1])
    assert box.run("up").stdout == "demo is up to date: 5 resources, 3 containers.\n"
    assert box.run("plan", "--exit-code").returncode == 0

    table = box.run("ps").stdout.splitlines()
    assert table[0].split() == ["NAME", "SERVICE", "STATUS", "MEMORY", "PORTS", "UP"]
    assert [line.split()[0] for line in table[1:]] == ["job-1", "web-1", "web-2"]
    assert "/ 64 MiB" in table[1]
    assert [row["name"] for row in box.json("ps")] == ["demo-job-1", "demo-web-1", "demo-web-2"]
    assert len(box.run("ps", "-q", "web").stdout.split()) == 2
    assert [(row["name"], row["containers"], row["running"]) for row in box.json("ls")] == [("demo", 3, 3)]
    assert f"{IMAGE}:latest" in box.run("images").stdout

    logs = box.run("logs", "web").stdout.splitlines()
    assert sorted(logs) == sorted(
        f"{name:<14} | {text}" for name in ("web-1", "web-2") for text in ("hello from web", "oops")
    )
    assert box.run("logs", "--no-log-prefix", "job").stdout == "job\n"
    streams = {row["stream"] for row in map(json.loads, box.run("--json", "logs", "web").stdout.splitlines())}
    assert streams == {"stdout", "stderr"}

    planned = box.run("--set", "word=bye", "plan", "--exit-code", code=6).stdout
    assert re.search(r" -/\+ service\.web\[1\.\.2\] +recreate +command ", planned)
    assert planned.splitlines()[-1].startswith("Plan: 0 create, 0 in place, 0 restart, 1 recreate, 0 remove; ")
    assert box.run("--set", "word=bye", "up", "--dry-run").stdout == planned

    down = box.run("down").stdout.splitlines()[-1]
    assert down == "Down: 3 containers and 1 network removed; volume data kept."
    assert box.run("down", "-v").stdout.splitlines()[-1] == "Down: 1 volume removed."
    assert box.run("down").stdout == "Down: nothing is up.\n"
    assert box.json("ps") == []


def test_what_runs_needs_no_file(box: Box) -> None:
    file = box.stack(STACK)
    box.run("up")
    file.write_text("broken: [\n")
    assert box.run("validate", code=3).stdout == ""
    assert len(box.json("ps")) == 3
    below = box.directory / "below"
    below.mkdir()
    assert box.run("exec", "web", "sh", "-c", "echo $HOSTNAME", cwd=below).stdout == "web\n"
    box.run("stop", "job")
    assert {row["state"] for row in box.json("ps", "job")} == {"exited"}
    box.run("kill", "-s", "KILL", "web")
    assert {row["exit_code"] for row in box.json("ps", "web")} == {137}
    box.run("start", "web")
    box.run("restart", "web")
    assert {row["state"] for row in box.json("ps", "web")} == {"running"}
    box.run("rm", "-s", "-f", "job")
    assert box.json("ps", "job") == []
    box.run("-p", "demo", "down", cwd=box.directory.parent)
    assert box.json("ps") == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["sh", "-c", "exit 7"], 7),
        (["nonesuch"], 127),
        (["/tmp"], 126),
        (["sh", "-c", "kill -TERM $$"], 143),
    ],
)
def test_exit_codes_of_exec(running: Box, command: list[str], code: int) -> None:
    running.run("exec", "web", *command, code=code)


def test_exec_chooses_and_refuses(running: Box) -> None:
    running.run("exec", "nope", "true", code=125)
    running.run("exec", "--index", "9", "web", "true", code=125)
    running.run("exec", "web", code=125)
    running.run("exec", "-d", "web", "sleep", "0")
    environment = running.run("exec", "-e", "A=1", "-w", "/tmp", "-u", "1000:1000", "web", "sh", "-c", "echo $A $PWD")
    assert environment.stdout == "1 /tmp\n"


def test_streams_of_exec(running: Box) -> None:
    result = running.run("exec", "-T", "web", "sh", "-c", "cat; echo no >&2", stdin="piped\n")
    assert (result.stdout, result.stderr) == ("piped\n", "no\n")


@pytest.fixture
def running(box: Box) -> Box:
    box.stack(STACK)
    box.run("up")
    return box


@pytest.fixture
def built(box: Box) -> Box:
    box.stack(STACK)
    box.run("build")
    return box


def test_container_run(built: Box) -> None:
    for command, code in (
        (["sh", "-c", "exit 3"], 3),
        (["nonesuch"], 127),
        (["/tmp"], 126),
        (["sh", "-c", "kill -9 $PPID; exit 4"], 4),
    ):
        built.run("container", "run", "--rm", IMAGE, *command, code=code)
    built.run("container", "run", "nowhere/nothing", code=125)
    built.run("container", "run", "--nonsense", IMAGE, code=125)
    result = built.run(
        "container", "run", "--rm", "-i", "-e", "A=b", IMAGE, "sh", "-c", "cat; echo $A >&2", stdin="x\n"
    )
    assert (result.stdout, result.stderr) == ("x\n", "b\n")
    assert built.json("container", "ls", "-a") == []


def test_stdin_is_piped_whole(built: Box) -> None:
    """Both directions at once, more than any buffer on the way holds."""
    data = "0123456789abcde\n" * 500_000
    result = built.run("container", "run", "--rm", "-i", IMAGE, "cat", stdin=data)
    assert result.stdout == data


def test_containers_by_name(built: Box) -> None:
    identity = built.run("container", "run", "-d", "--name", "one", IMAGE, "sh", "-c", "echo hi; sleep 100").stdout
    assert re.fullmatch(r"[0-9a-f]{64}\n", identity)
    (row,) = built.json("container", "ls")
    assert (row["name"], row["image"], row["state"]) == ("one", IMAGE, "running")
    (inspected,) = built.json("container", "inspect", identity[:8])
    assert inspected["id"] == identity.strip()
    assert built.run("container", "exec", "one", "sh", "-c", "exit 5", code=5).stdout == ""
    assert built.run("container", "logs", "one").stdout == "hi\n"
    built.run("container", "rm", "one", code=1)
    assert built.run("container", "kill", "one").stdout == "one\n"
    assert built.run("container", "wait", "one").stdout == "137\n"
    built.run("container", "start", "one")
    built.run("container", "stop", "-t", "0", "one")
    assert built.run("container", "rm", "one", "two", code=1).stdout == "one\n"


def test_signals_reach_the_container(built: Box) -> None:
    process = built.popen(
        "container", "run", "--rm", IMAGE, "sh", "-c",
        "trap 'echo got; exit 9' USR1; echo up; while :; do sleep 0.05; done",
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGUSR1)
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("got\n", 9)


def test_a_run_goes_on_without_its_client(built: Box) -> None:
    script = "echo up; while test ! -e /end; do sleep 0.05; done"
    process = built.popen("container", "run", "--rm", "--name", "one", IMAGE, "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.communicate(timeout=20)
    (row,) = built.json("container", "ls")
    assert (row["name"], row["state"]) == ("one", "running")
    built.run("container", "exec", "one", "sh", "-c", "echo > /end")
    wait_for(lambda: built.json("container", "ls", "-a") == [])


def test_logs_follow_until_nothing_runs(running: Box) -> None:
    process = running.popen("logs", "-f")
    assert process.stdout is not None
    seen = {process.stdout.readline() for _ in range(5)}
    assert "job-1          | job\n" in seen
    running.run("restart", "job")
    assert process.stdout.readline() == "job-1          | job\n"
    running.run("stop")
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_logs_into_a_closed_pipe_are_quiet(running: Box) -> None:
    process = running.popen("logs", "-f", "web")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    running.run("restart", "web")
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait(20)
    process.stderr.close()


def test_terminated(running: Box) -> None:
    process = running.popen("logs", "-f")
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 143


def test_json_of_a_job(box: Box) -> None:
    box.stack(STACK)
    events = [json.loads(line) for line in box.run("--json", "up").stdout.splitlines()]
    assert [event["type"] for event in (events[0], events[1], events[-1])] == ["job", "plan", "end"]
    assert events[-1]["status"] == "done"
    assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)
    assert box.run("--quiet", "down").stdout == ""


def test_failure_shows_the_last_words(box: Box) -> None:
    box.stack(STACK.replace("echo job; sleep 1000", "echo last words; exit 3"))
    result = box.run("up", code=1)
    assert "last words" in result.stdout
    assert "✘ service.job" in result.stdout
    assert result.stderr.startswith("error: ")


def test_daemon(box: Box) -> None:
    assert "no daemon answers" in box.run("daemon", "status", code=4).stderr
    assert box.run("daemon", "stop").stdout == "The daemon is not running.\n"
    box.run("daemon", "start")
    status = box.json("daemon", "status")
    assert os.path.exists(f"/proc/{status['pid']}")
    assert {row["status"] for row in box.json("system", "doctor")} <= {"ok", "warning"}
    box.run("daemon", "logs", "-n", "5")
    box.run("daemon", "stop")
    deadline = time.monotonic() + 5
    while os.path.exists(f"/proc/{status['pid']}") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{status['pid']}")


def test_events(running: Box) -> None:
    text = running.run("--json", "events", "--since", "1", "--no-follow").stdout
    events = [json.loads(line) for line in text.splitlines()]
    assert {"create", "start"} <= {event["action"] for event in events if event["kind"] == "container"}


def test_without_root(box: Box) -> None:
    """In a user namespace without a mapping nobody is root, while every file can still be read."""
    box.stack(STACK)

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "-U", sys.executable, "-I", "-m", "stackfile", *args],
            cwd=box.directory,
            env={**os.environ, **box.settings.environment()},
            capture_output=True,
            text=True,
            timeout=30,
        )

    for verb in ("validate", "config", "graph"):
        done = run(verb)
        assert done.returncode == 0, done.stderr
    for verb in ("up", "ps", "down", "plan"):
        refused = run(verb)
        assert refused.returncode == 4
        first, *hint = refused.stderr.splitlines()
        assert first == f"error: the embedded engine needs root, and no daemon answers at {box.settings.socket}"
        assert hint[0] == "  you are: uid 65534"
        assert hint[1].startswith("  try: ")
        assert verb in hint[1]
    assert run("container", "run", "x").returncode == 125
    assert not os.path.exists(box.settings.run)
