"""The command line on a terminal, in warm workers: raw mode and back, window size, detach keys, ctrl-C."""

from __future__ import annotations

import os
import shlex
import termios
import time

import pexpect
import pytest

from tests.conftest import CLIENT, Box
from tests.integration.workers import wait_for

pytestmark = pytest.mark.root

STACK = """name: demo
images:
  base:
    from: scratch
    steps:
      - host: {programs: [sh, sleep, stty]}
  slow:
    from: base
    steps:
      - run: "sleep 1.5"
services:
  shell:
    image: base
    command: [sh, -c, "sleep 1000"]
    stop_grace_period: 0s
"""
IMAGE = "demo/base"


class Terminal:
    """Commands of one box on terminals of their own."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def start(self, *args: str, rows: int = 30, columns: int = 100) -> pexpect.spawn:
        return pexpect.spawn(
            CLIENT[0],
            [*CLIENT[1:], *args],
            cwd=str(self.box.directory),
            env={**os.environ, **self.box.settings.environment(), "TERM": "xterm"},
            dimensions=(rows, columns),
            timeout=20,
            encoding="utf-8",
        )


def end(child: pexpect.spawn) -> int:
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus is not None
    return int(child.exitstatus)


@pytest.fixture
def terminal(box: Box) -> Terminal:
    box.stack(STACK)
    box.run("up", "shell")
    wait_for(lambda: os.path.exists(f"{box.settings.run}/worker.sock"))
    return Terminal(box)


def test_exec_is_interactive_by_itself(terminal: Terminal) -> None:
    child = terminal.start("exec", "shell", "sh")
    child.expect("[#$] ")
    child.sendline("stty size")
    child.expect("30 100")
    child.setwinsize(40, 120)
    child.sendline("sleep 0.2; stty size")
    child.expect("40 120")
    # A shell that is about to start a program would take the signal in its place.
    child.sendline("sh -c 'trap \"exit 0\" INT; echo re\\ady; while :; do sleep 0.05; done'; echo af\\ter")
    child.expect("ready")
    child.sendintr()
    child.expect("after")
    child.sendline("exit 3")
    assert end(child) == 3


def test_the_first_command_finds_the_size(terminal: Terminal) -> None:
    """There before it looks; and what a command says whose end comes as fast as its begin is not lost."""
    runs = [("container", "run", "--rm", "-it", IMAGE)] + [("exec", "shell")] * 15
    for number, words in enumerate(runs):
        child = terminal.start(*words, "stty", "size", rows=30 + number, columns=100)
        assert end(child) == 0, child.before
        assert child.before.strip() == f"{30 + number} 100"


def test_without_a_tty_when_asked(terminal: Terminal) -> None:
    child = terminal.start("exec", "-T", "shell", "sh", "-c", "test -t 0 || echo none")
    child.expect("none")
    assert end(child) == 0


@pytest.mark.parametrize("how", ["exit", "detach", "kill"])
def test_raw_mode_and_its_ends(terminal: Terminal, how: str) -> None:
    child = terminal.start("container", "run", "--rm", "-it", "--name", "one", IMAGE, "sh")
    before = termios.tcgetattr(child.child_fd)
    child.expect("[#$] ")
    assert termios.tcgetattr(child.child_fd) != before
    if how == "exit":
        child.sendline("exit 4")
    elif how == "detach":
        child.send("\x10\x11")
    else:
        terminal.box.run("container", "kill", "one")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == {"exit": 4, "detach": 0, "kill": 137}[how]
    if how == "detach":
        terminal.box.run("container", "rm", "-f", "one")


def test_modes_are_restored(terminal: Terminal) -> None:
    """A shell around the command sees the same terminal before and after."""
    program = shlex.join(CLIENT)
    line = f"stty -g; {program} container run --rm -it {IMAGE} sh -c 'exit 0'; {program} exec shell nonesuch; stty -g"
    child = pexpect.spawn(
        "/bin/sh", ["-c", line], cwd=str(terminal.box.directory), timeout=20, encoding="utf-8",
        env={**os.environ, **terminal.box.settings.environment()},
    )  # fmt: skip
    child.expect(pexpect.EOF)
    child.close()
    modes = [text for text in child.before.split() if text.count(":") > 10]
    assert len(modes) == 2
    assert modes[0] == modes[1]


def test_ctrl_c_reaches_a_container_without_a_tty(terminal: Terminal) -> None:
    script = "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.05; done"
    child = terminal.start("container", "run", "--rm", IMAGE, "sh", "-c", script)
    child.expect("up")
    child.sendintr()
    child.expect("caught")
    assert end(child) == 5


def test_ctrl_c_on_up_finishes_what_is_under_way(terminal: Terminal) -> None:
    child = terminal.start("build", "--no-cache")
    child.expect("image.slow +building")
    child.sendintr()
    child.expect("Interrupted.")
    assert end(child) == 130
    assert "done:" in child.before


def test_second_ctrl_c_detaches(terminal: Terminal) -> None:
    child = terminal.start("build", "--no-cache", "slow")
    child.expect("image.slow +building")
    child.sendintr()
    # Two that are pending at once would be one to the kernel.
    time.sleep(0.3)
    child.sendintr()
    assert end(child) == 130
    assert "Interrupted." not in child.before
    terminal.box.run("build")


def test_up_rewrites_its_rows(terminal: Terminal) -> None:
    terminal.box.run("down")
    child = terminal.start("up")
    assert end(child) == 0
    assert "\x1b[J" in child.before
    assert child.before.splitlines()[-1].startswith("Up: 1 container, ")
    child = terminal.start("down")
    assert end(child) == 0
    # The rows have made room for the one line that counts.
    assert child.before.rpartition("\x1b[J")[2].startswith("Down: 1 container and 1 network removed")
