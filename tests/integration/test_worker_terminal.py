"""A worker and its terminal under an interactive shell: job control, modes, window size; the shell keeps its lines."""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.conftest import CLIENT
from tests.integration.workers import Workers, wait_for, workers

pytestmark = pytest.mark.root

PROMPT = "READY> "
ECHO = "import sys\nfor line in sys.stdin: print('got', line.strip().upper(), flush=True)"
SLOW = "import time\nprint('begun', flush=True)\ntime.sleep(0.6)\nprint('ended', flush=True)"
RAW = """
import os
from stackfile.cli import terminal
with terminal.reading() as allowed, terminal.raw():
    print("raw", allowed, end="\\r\\n", flush=True)
    while (key := os.read(0, 1)) != b"q":
        print("key", key.hex(), terminal.size(), end="\\r\\n", flush=True)
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    with tempfile.TemporaryDirectory(prefix="sf-workers-", dir="/var/tmp") as name, workers(Path(name)) as made:
        for program, text in (("echoes", ECHO), ("slow", SLOW), ("raw", RAW)):
            path = Path(name) / program
            path.write_text(f"#!/bin/sh\nexec {shlex.join([*CLIENT, text])}\n")
            path.chmod(0o755)
        yield made
        made.wait_idle()


@pytest.fixture(params=["bash", "sh"])
def shell(pool: Workers, request: pytest.FixtureRequest) -> Iterator[pexpect.spawn]:
    arguments = ["--norc", "--noediting", "-i"] if request.param == "bash" else ["-i"]
    environment = {**pool.environment, "PS1": PROMPT, "PATH": f"{pool.directory}:{os.environ['PATH']}"}
    environment.pop("ENV", None)
    child = pexpect.spawn(
        request.param, arguments, env=environment, timeout=8, encoding="utf-8", dimensions=(30, 90), echo=False
    )
    child.expect_exact(PROMPT)
    yield child
    child.sendline("exit")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()


def say(shell: pexpect.spawn, line: str, *answers: str) -> None:
    shell.sendline(line)
    for answer in answers:
        shell.expect(answer)


def test_lines_go_where_they_belong(shell: pexpect.spawn) -> None:
    say(shell, "echoes", "")
    say(shell, "one", "got ONE")
    shell.sendcontrol("z")
    shell.expect("[Ss]topped")
    shell.expect_exact(PROMPT)
    for number in range(5):
        say(shell, f"echo shell-$(({number}+10))", f"shell-{number + 10}\r\n")
    shell.expect_exact(PROMPT)
    say(shell, "fg", "echoes")
    say(shell, "two", "got TWO")
    # In the background it may not read: the shell's lines stay the shell's.
    shell.sendcontrol("z")
    shell.expect_exact(PROMPT)
    say(shell, "bg", "echoes")
    time.sleep(0.3)
    for number in range(5):
        say(shell, f"echo again-$(({number}+10))", f"again-{number + 10}\r\n")
    say(shell, "fg", "echoes")
    say(shell, "three", "got THREE")
    shell.sendeof()
    shell.expect_exact(PROMPT)
    say(shell, "echo code $?", "code 0")


def test_ctrl_c(shell: pexpect.spawn) -> None:
    say(shell, "slow", "begun")
    shell.sendintr()
    shell.expect_exact(PROMPT)
    say(shell, "echo code $?", "code 130")


def test_what_does_not_read_runs_on_in_the_background(shell: pexpect.spawn) -> None:
    say(shell, "slow", "begun")
    shell.sendcontrol("z")
    shell.expect("[Ss]topped")
    # It stands still.
    assert shell.expect(["ended", pexpect.TIMEOUT], timeout=0.8) == 1
    say(shell, "bg", "slow", "ended")
    say(shell, "slow &", "begun", "ended")
    shell.sendline("")
    shell.expect_exact(PROMPT)


def test_a_background_job_waits_for_the_terminal(shell: pexpect.spawn) -> None:
    say(shell, "echoes &")
    time.sleep(0.4)
    say(shell, "echo mine", "mine\r\n")
    say(shell, "fg", "echoes")
    say(shell, "four", "got FOUR")
    shell.sendeof()
    shell.expect_exact(PROMPT)


def test_a_client_stopped_by_force_leaves_the_terminal(shell: pexpect.spawn) -> None:
    say(shell, "echoes")
    wait_for(lambda: foreground(shell) != shell.pid)
    say(shell, "one", "got ONE")
    os.kill(foreground(shell), signal.SIGSTOP)
    shell.expect("[Ss]topped")
    shell.expect_exact(PROMPT)
    for number in range(5):
        say(shell, f"echo shell-$(({number}+10))", f"shell-{number + 10}\r\n")
    say(shell, "fg", "echoes")
    say(shell, "two", "got TWO")
    shell.sendeof()
    shell.expect_exact(PROMPT)


def test_raw_mode_over_stops(shell: pexpect.spawn) -> None:
    before = modes(shell)
    say(shell, "raw", "raw True")
    assert modes(shell) != before
    shell.send("a")
    shell.expect("key 61")
    shell.setwinsize(41, 101)
    shell.send("\x03")
    shell.expect(r"key 03 \(41, 101\)")
    client = foreground(shell)
    os.kill(client, signal.SIGTSTP)
    shell.expect("[Ss]topped")
    shell.expect_exact(PROMPT)
    say(shell, "fg", "raw")
    wait_for(lambda: not modes(shell)[3] & termios.ICANON)
    shell.send("b")
    shell.expect("key 62")
    shell.send("q")
    shell.expect_exact(PROMPT)
    settled(shell, before)


def test_modes_after_a_killed_worker(pool: Workers, shell: pexpect.spawn) -> None:
    before = modes(shell)
    say(shell, "raw", "raw True")
    (worker,) = pool.children()
    os.kill(worker, signal.SIGKILL)
    shell.expect("signal 9")
    shell.expect_exact(PROMPT)
    settled(shell, before)
    say(shell, "echo code $?", "code 137")


def test_modes_after_a_killed_client(pool: Workers, shell: pexpect.spawn) -> None:
    before = modes(shell)
    say(shell, "raw", "raw True")
    os.kill(foreground(shell), signal.SIGKILL)
    shell.expect("[Kk]illed")
    pool.wait_idle()
    settled(shell, before)


def test_hang_up_ends_the_worker(pool: Workers) -> None:
    environment = {**pool.environment, "PATH": f"{pool.directory}:{os.environ['PATH']}"}
    child = pexpect.spawn("echoes", env=environment, timeout=8, encoding="utf-8")
    child.sendline("x")
    child.expect("got X")
    child.close(force=False)
    pool.wait_idle()


def modes(shell: pexpect.spawn) -> list[Any]:
    return list(termios.tcgetattr(shell.child_fd))


def settled(shell: pexpect.spawn, before: list[object]) -> None:
    """bash sets ISIG and the like again before its prompt; both come to the same."""
    wait_for(lambda: modes(shell)[:4] == before[:4])


def foreground(shell: pexpect.spawn) -> int:
    return os.tcgetpgrp(shell.child_fd)
