"""A zygote whose commands are Python texts, and the client script in front of it; no engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import CLIENT

ZYGOTE = """
import os, sys
from stackfile.worker.zygote import Zygote, listen

def main(arguments):
    scope = {"arguments": arguments[1:]}
    exec(arguments[0], scope)
    return scope.get("code", 0)

zygote = Zygote(listen(sys.argv[1] + "/worker.sock", like=sys.argv[1] + "/like"), main)
print("ready", flush=True)
zygote.run()
"""


class Workers:
    """`run` gives a Python text to a worker; its variable `code` is the exit code."""

    def __init__(self, directory: Path, zygote: subprocess.Popen[str]) -> None:
        self.directory = directory
        self.zygote = zygote
        self.environment = {
            "PATH": os.environ["PATH"],
            "STACKFILE_RUN": str(directory),
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
        }

    def popen(self, text: str, *args: str, **options: Any) -> subprocess.Popen[str]:
        environment = {**self.environment, **options.pop("env", {})}
        for name in ("stdin", "stdout", "stderr"):
            options.setdefault(name, subprocess.PIPE)
        return subprocess.Popen([*CLIENT, text, *args], env=environment, text=True, **options)

    def run(self, text: str, *args: str, code: int = 0, stdin: str = "", **options: Any) -> str:
        process = self.popen(text, *args, **options)
        out, err = process.communicate(stdin, timeout=20)
        assert process.returncode == code, (process.returncode, out, err)
        return out

    def children(self) -> list[int]:
        """Those that run a command: each leads a session, which the one that waits for a command does not."""
        path = Path(f"/proc/{self.zygote.pid}/task/{self.zygote.pid}/children")
        found = []
        for pid in map(int, path.read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(pid) == pid:
                    found.append(pid)
        return found

    def wait_idle(self) -> None:
        """Until no worker is left."""
        wait_for(lambda: not self.children())


def wait_for(condition: Any, seconds: float = 8.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
    return found


@contextlib.contextmanager
def workers(directory: Path, like: Sequence[int] = (0, 0, 0o600), *, killed: bool = False) -> Iterator[Workers]:
    """`like` is owner, group and mode of what stands for the daemon's socket. `killed`: by the test."""
    model = directory / "like"
    model.touch()
    os.chown(model, like[0], like[1])
    model.chmod(like[2])
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", ZYGOTE, str(directory)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, cwd="/",
            env={"PATH": os.environ["PATH"], "ZYGOTE": "1"},
        )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield Workers(directory, process)
    finally:
        if process.poll() is None:
            process.terminate()
        assert process.wait(10) == (-signal.SIGKILL if killed else 0)
        process.stdout.close()
        complaints = (directory / "log").read_text()
        assert not complaints, complaints
