"""Fixtures for all tests: an engine of the test's own, and the command line against it."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from stackfile.kernel.namespace import fresh
from stackfile.kernel.process import is_alive
from stackfile.settings import Settings
from stackfile.supervisor import record
from tests import leaks

_numbers = count()
_SCRIPT = str(Path(__file__).parents[1] / "stackfile" / "client" / "stackfile")
CLIENT = (sys.executable, "-I", "-S", _SCRIPT, "-I", _SCRIPT)
"""The client script of the source tree, as its sh part runs it."""
PROGRAM = CLIENT if os.environ.get("TEST_CLIENT") else (sys.executable, "-I", "-m", "stackfile")
"""How tests run commands: in a process of their own, or with TEST_CLIENT set, in warm workers."""


TOOLS = ("busybox", "ip", "nft", "sysctl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need root are skipped without it, or without the programs that they look with (in CI they fail)."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if os.geteuid() != 0:
        reason = "needs root"
    elif missing and not os.environ.get("CI"):
        reason = f"needs {', '.join(missing)}"
    else:
        return
    skip = pytest.mark.skip(reason=reason)
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(skip)


@functools.cache
def _block() -> int:
    """64 numbers that no other process of tests on this machine has now: a lock is held until this one ends."""
    for step in range(64):
        block = (os.getpid() + step) % 64
        held = os.open(f"{tempfile.gettempdir()}/stackfile-tests-{block}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
        else:
            return block
    raise AssertionError("64 processes run tests already")


def own_settings(directory: Path) -> Settings:
    """Settings that no other engine on this machine shares, with roots below `directory`."""
    number = _block() * 64 + next(_numbers) % 64
    return Settings(
        root=f"{directory}/state",
        run=f"{directory}/run",
        bridge_prefix=f"t{number:03x}",
        nft_table=f"stackfile-t{number:03x}",
        cgroup_parent=f"stackfile-t{number:03x}",
        address_pool=f"10.{130 + number % 100}.0.0/16",
        address_pool6=f"fd89:{number:x}::/48",
        log_level="debug",
    )


@dataclass
class Box:
    """An engine with roots of its own, and `stackfile` run against it as a user would run it."""

    settings: Settings
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = PROGRAM

    def popen(self, *args: str, cwd: Path | None = None, **options: Any) -> subprocess.Popen[str]:
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(
            [*self.program, *args],
            cwd=cwd or self.directory,
            env={**os.environ, **self.settings.environment(), **self.environment},
            text=True,
            **options,
        )

    def run(
        self, *args: str, cwd: Path | None = None, code: int | None = 0, stdin: str | None = None, timeout: float = 90
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; its exit code must be `code` (None: any)."""
        process = self.popen(*args, cwd=cwd, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE)
        out, err = process.communicate(stdin, timeout=timeout)
        if code is not None:
            assert process.returncode == code, (
                f"{args} exited {process.returncode}, not {code}\n{out}\n{err}\n{self.logs()}"
            )
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def json(self, *args: str, cwd: Path | None = None) -> Any:
        return json.loads(self.run(*args, "--json", cwd=cwd).stdout)

    def containers(self, project: str | None = None) -> list[dict[str, Any]]:
        """`ps` as data, of the stack in the box's directory."""
        options = ("-p", project) if project else ()
        return list(self.json(*options, "ps", "-a"))

    def logs(self) -> str:
        """The ends of our processes' logs: what to read when a test fails."""
        parts = [
            f"--- {path.name}\n{path.read_text(errors='replace')[-2500:]}"
            for path in sorted(Path(self.settings.run).glob("*.log"))
        ]
        return "\n".join(parts)

    @property
    def supervisor(self) -> int:
        """Pid of the supervisor, as it wrote it into its lock file; 0 when none runs."""
        try:
            return int(Path(f"{self.settings.run}/lock").read_text() or 0)
        except FileNotFoundError:
            return 0

    def processes(self) -> list[int]:
        """Pids of the supervisor and of its children; an adopted one is below another parent."""
        found = [record.read(str(path)) for path in Path(self.settings.run).glob("*.pid")]
        alive = [each.pid for each in found if each is not None and is_alive(each.pid, each.started)]
        return [*([self.supervisor] if self.supervisor else []), *alive]

    def watch(self) -> leaks.Watch:
        """For a running engine; waits until all of its processes are there, warm workers last."""
        deadline = time.monotonic() + 10
        while leaks.commands(leaks.descendants([self.supervisor])).count("stackfile.worker") < 2:
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)
        return leaks.Watch((self.settings.root, self.settings.run), (self.supervisor,))

    def stack(self, text: str, name: str = "stack.yaml") -> Path:
        """Write the stack file of the box's directory."""
        path = self.directory / name
        path.write_text(text)
        return path

    def close(self) -> None:
        """Stop the engine with everything in it; nothing of it may be left."""
        if os.path.exists(f"{self.settings.run}/lock"):
            self.run("daemon", "stop", "--force", code=None)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and any(self._left()):
            time.sleep(0.05)
        left = list(self._left())
        assert not left, f"left behind: {left}\n{self.logs()}"

    def _left(self) -> Iterator[str]:
        for name in os.listdir("/sys/class/net"):
            if name.startswith(self.settings.bridge_prefix):
                yield f"link {name}"
        for path in Path("/sys/fs/cgroup").glob(f"*/{self.settings.cgroup_parent}/*/"):
            yield f"cgroup {path}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if f"{self.directory}/" in line:
                yield f"mount {line}"


@pytest.fixture
def apart() -> Iterator[None]:
    """The test in a network namespace of its own, for what tampers with bridges: engines of other tests would take
    them for somebody's who relies on forwarding, and leave it on for good. Name it before what starts an engine.
    """
    with fresh() as netns:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    os.close(netns)


@pytest.fixture
def box() -> Iterator[Box]:
    """An engine of this test's own (started by the first command that needs it), stopped and checked at the end."""
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    work = directory / "work"
    work.mkdir()
    made = Box(own_settings(directory), work)
    try:
        yield made
        made.close()
    finally:
        for pid in reversed(leaks.descendants(made.processes())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        shutil.rmtree(directory, ignore_errors=True)
