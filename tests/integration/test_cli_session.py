"""A session at a real terminal (tmux): what the screen shows while a job runs, after ctrl-C, a resize, a detach."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests import peers
from tests.conftest import Box

pytestmark = [pytest.mark.root, pytest.mark.peer]

STACK = """name: demo
images:
  base:
    from: scratch
    steps:
      - host: {programs: [sh, sleep, stty, cat]}
  slow:
    from: base
    steps:
      - run: "sleep 1.5; echo first"
      - run: "sleep 1.5; echo second"
services:
  one: {image: base, command: [sleep, "1000"], stop_grace_period: 0s}
  two: {image: slow, command: [sleep, "1000"], stop_grace_period: 0s, depends_on: [one]}
"""


class Screen:
    """A shell in tmux, whose screen can be read and whose keys can be pressed."""

    def __init__(self, box: Box, columns: int = 100, rows: int = 30) -> None:
        self._argv = [peers.need("tmux"), "-L", f"sf-{os.getpid()}", "-f", "/dev/null"]
        settings = " ".join(f"{key}='{value}'" for key, value in box.settings.environment().items())
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), "-c", str(box.directory),
                   "env", *settings.replace("'", "").split(" "), "PS1=$ ", "sh", "-i")  # fmt: skip
        self.type(f"alias stackfile='{sys.executable} -I -m stackfile'; clear")
        self.until(lambda text: text.strip() == "$")

    def _tmux(self, *words: str) -> str:
        return subprocess.run([*self._argv, *words], capture_output=True, text=True, check=True).stdout

    def type(self, line: str) -> None:
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def clear(self) -> None:
        self.type("clear")
        self.until(lambda text: len(text.strip().splitlines()) <= 1)
        self._tmux("clear-history")

    def text(self) -> str:
        return self._tmux("capture-pane", "-p", "-J")

    def until(self, what: Callable[[str], object], timeout: float = 30) -> str:
        """The screen once `what` holds of it."""
        deadline = time.monotonic() + timeout
        while not what(text := self.text()):
            assert time.monotonic() < deadline, f"the screen shows\n{text}"
            time.sleep(0.05)
        return text

    def ends(self) -> str:
        """Until the shell asks again; the screen with the exit code on its last line."""
        self.type("echo code=$?")
        return self.until(lambda text: re.search(r"code=\d+", text))

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def screen(box: Box) -> Iterator[Screen]:
    box.stack(STACK)
    made = Screen(box)
    try:
        yield made
    finally:
        made.close()


def rows(text: str, word: str) -> int:
    return sum(word in line for line in text.splitlines())


def test_a_session(box: Box, screen: Screen) -> None:
    _progress_and_resize(screen)
    box.run("down")
    _first_interrupt(box, screen)
    _second_interrupt(box, screen)
    _detach(box, screen)
    _plain_elsewhere(screen)


def _progress_and_resize(screen: Screen) -> None:
    """Rows are rewritten in place, also when the terminal becomes narrower meanwhile; nothing is left of older ones."""
    screen.type("stackfile up")
    shown = screen.until(lambda text: re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] image.slow", text))
    assert "demo · stack.yaml · embedded engine" in shown
    screen.resize(60, 24)
    shown = screen.until(lambda text: "Up: 2 containers" in text)
    for word in ("image.base", "image.slow", "service.one", "service.two", "Up: 2 containers"):
        assert rows(shown, word) == 1, shown
    assert not re.search("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", shown)
    assert "code=0" in screen.ends()
    screen.resize(100, 30)
    screen.clear()


def _first_interrupt(box: Box, screen: Screen) -> None:
    """What is under way is finished, nothing new is started, and both are told."""
    screen.type("stackfile build --no-cache")
    screen.until(lambda text: re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] image.base", text))
    screen.press("C-c")
    shown = screen.until(lambda text: "Interrupted." in text)
    assert "done:     image.base" in shown
    assert "not done: image.slow" in shown
    assert "code=130" in screen.ends()
    screen.clear()


def _second_interrupt(box: Box, screen: Screen) -> None:
    """The prompt is back at once, the job goes on, and the next one says for whom it waits."""
    screen.type("stackfile build --no-cache slow")
    screen.until(lambda text: re.search(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] image.slow", text))
    screen.press("C-c")
    time.sleep(0.3)
    screen.press("C-c")
    assert "code=130" in screen.ends()
    screen.clear()
    screen.type("stackfile up")
    shown = screen.until(lambda text: "Up: 2 containers" in text)
    assert re.search(r"waiting for job \w+ \(build of demo", shown), shown
    assert "code=0" in screen.ends()
    screen.clear()


def _detach(box: Box, screen: Screen) -> None:
    """The window's size reaches the container, ctrl-p ctrl-q leaves it running, attach comes back."""
    screen.type("stackfile container run -it --name shell demo/base sh")
    screen.until(lambda text: text.rstrip().endswith("#"))
    screen.resize(90, 25)
    time.sleep(0.3)
    screen.type("stty size")
    screen.until(lambda text: "25 90" in text)
    screen.press("C-p", "C-q")
    screen.until(lambda text: text.rstrip().endswith("$"))  # what is typed before goes with the keys
    assert "code=0" in screen.ends()
    assert box.json("container", "inspect", "shell")[0]["state"]["status"] == "running"
    screen.clear()
    screen.type("stackfile container attach shell")
    time.sleep(1)
    screen.type("exit 7")
    screen.until(lambda text: text.rstrip().endswith("$"))
    assert "code=7" in screen.ends()
    box.run("container", "rm", "-f", "shell")
    screen.clear()


def _plain_elsewhere(screen: Screen) -> None:
    """Into a pipe go whole lines without a cursor that moves."""
    screen.type("stackfile down | cat > /dev/null; stackfile up | cat -v")
    shown = screen.until(lambda text: "Up: 2 containers" in text)
    assert "^[" not in shown
    assert rows(shown, "service.two") == 1
