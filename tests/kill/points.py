"""Commands with one of the engine's processes ended in their midst, and what must be true afterwards.

The fixture `kills` is an engine to try that on. A test says what comes before the command and which commands must work
after it (a `Scenario`); what must be left then is what the same commands leave when nobody is ended.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

import pytest

from stackfile.errors import StackfileError
from stackfile.supervisor.client import Supervisor
from tests.conftest import CLIENT, Box, own_settings
from tests.integration.quickstart import free_port
from tests.kill import kit
from tests.kill.rest import processes, rest
from tests.kill.wreck import wreck
from tests.leaks import commands

VICTIMS = ("daemon", "shim", "supervisor", "worker")
"""Whom the kit ends at a system call."""
_LIMIT = 120.0
"""Seconds for one command, whatever was ended."""
_REST = 20.0
"""Seconds until what is kept ready for the next container is given up, and what is deleted later is gone."""
_TRIES = 3
"""Points that are tried for each one that is wanted: which thread makes a call is not always the same."""
STACK = """
name: killed
images:
  tools:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: [busybox, mkdir, -p, /bin]
      - run: [busybox, --install, -s, /bin]
networks: {inner: {}}
volumes: {data: {}}
configs: {greeting: {content: hello}}
secrets: {key: {generate: {length: 12}}}
services:
  db:
    image: tools
    command: [sleep, '600']
    networks: [inner]
    volumes: ['data:/data']
    secrets: [key]
    stop_signal: SIGKILL
  web:
    image: tools
    command: [sleep, '600']
    networks: [inner]
    depends_on: [db]
    configs: [greeting]
    ports: ['127.0.0.1:PORT:80']
    stop_signal: SIGKILL
"""


@dataclass(frozen=True)
class Scenario:
    """A command, what makes it have most to do, and the commands that must succeed after it was cut short."""

    name: str
    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...]
    after: tuple[tuple[str, ...], ...] = (
        ("up",),
        ("plan", "--exit-code"),
        ("drift", "--exit-code"),
        ("down", "-v"),
    )
    stack: str = STACK
    """Stack file; PORT in it stands for a free one."""


UP = Scenario("up", ("up",), before=(("image", "rm", "--force", "killed/tools"),))
"""The image is built anew too."""
DOWN = Scenario("down", ("down", "-v"), before=(("up",),))


@dataclass(frozen=True)
class Outcome:
    """Whether the victim was ended where it should be, and what is wrong afterwards: a line each."""

    reached: bool
    wrong: tuple[str, ...]


class Kills:
    """An engine whose processes are ended one at a time. It starts with the first use, and anew after a failure."""

    def __init__(self) -> None:
        self._box: Box | None = None
        self._port = str(free_port())
        self._normal: dict[str, tuple[set[str], float]] = {}

    # ---- points and moments

    def points(self, victim: str, scenario: Scenario) -> list[kit.Point]:
        """Every point at which `victim` can be ended while the scenario's command runs."""
        box = self._ready(scenario)
        self._normal_of(box, scenario)
        self._prepare(box, scenario)
        found = kit.record(self._target(box, victim), partial(box.run, *scenario.command, timeout=_LIMIT))
        self._conclude(box, scenario)
        return found

    def end_at(self, point: kit.Point, scenario: Scenario) -> Outcome:
        """Play the scenario with its victim ended at `point`."""

        def play(box: Box) -> bool:
            interrupted = partial(box.run, *scenario.command, code=None, timeout=_LIMIT)
            return kit.killed(point, self._target(box, point.victim), interrupted)

        return self._play(scenario, play)

    def end_after(self, victim: str, seconds: float, scenario: Scenario) -> Outcome:
        """Play the scenario with `victim` ended so long after its command was begun."""

        def play(box: Box) -> bool:
            pids = self._target(box, victim).tracees()
            running = box.popen(*scenario.command)
            time.sleep(seconds)
            ended = running.poll() is None
            for pid in pids[1:] or pids:  # of a zygote those that it has made
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            running.communicate(timeout=_LIMIT)
            return ended

        return self._play(scenario, play)

    def seconds(self, scenario: Scenario) -> float:
        """How long the scenario's command takes when nobody is ended."""
        return self._normal_of(self._ready(scenario), scenario)[1]

    # ---- for tests

    def sample(self, victim: str, scenario: Scenario, count: int, seed: str) -> None:
        """End `victim` at `count` points that `seed` chooses, before and after in turn; AssertionError says which."""
        reached = 0
        for point in chosen(self.points(victim, scenario), seed)[: _TRIES * count]:
            outcome = self.end_at(point, scenario)
            assert not outcome.wrong, f"{point.told(scenario.name)} (seed {seed}):\n" + "\n".join(outcome.wrong)
            reached += outcome.reached
            if reached == count:
                return
        raise AssertionError(f"{victim} was ended at {reached} of {count} points of {scenario.name} (seed {seed})")

    def moment(self, scenario: Scenario, seed: str) -> None:
        """End whom `seed` says when it says; AssertionError says who and when."""
        choice = random.Random(f"{seed} {scenario.name}")
        victim, seconds = choice.choice([*VICTIMS, "resolver"]), choice.uniform(0, self.seconds(scenario))
        outcome = self.end_after(victim, seconds, scenario)
        assert not outcome.wrong, (
            f"{victim} ended {seconds:.3f} s after the begin of {scenario.name} (seed {seed}):\n"
            + "\n".join(outcome.wrong)
        )

    def close(self) -> None:
        """Stop the engine; nothing may be left."""
        if self._box is None:
            return
        try:
            self._box.close()
        finally:
            self._abandon()

    # ---- inside

    def _play(self, scenario: Scenario, play: Callable[[Box], bool]) -> Outcome:
        box = self._ready(scenario)
        reached = True
        try:
            normal, _ = self._normal_of(box, scenario)
            self._prepare(box, scenario)
            reached = play(box)
            wrong = [*self._finish(box, scenario), *self._left(box, normal)]
        except (AssertionError, OSError, StackfileError, subprocess.TimeoutExpired) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            wrong.append(box.logs())
            self._abandon()
        return Outcome(reached, tuple(wrong))

    def _ready(self, scenario: Scenario) -> Box:
        if self._box is None:
            directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
            (directory / "work").mkdir()
            self._box = Box(own_settings(directory), directory / "work", program=CLIENT)
        self._box.stack(scenario.stack.replace("PORT", self._port))
        return self._box

    def _prepare(self, box: Box, scenario: Scenario) -> None:
        for command in scenario.before:
            box.run(*command, timeout=_LIMIT)

    def _finish(self, box: Box, scenario: Scenario) -> Iterator[str]:
        for command in (*scenario.after, ("system", "settle"), ("system", "fsck", "--quick")):
            done = box.run(*command, code=None, timeout=_LIMIT)
            if done.returncode:
                yield f"{' '.join(command)} exits {done.returncode}: {done.stdout[-1200:]}{done.stderr[-1200:]}"

    def _conclude(self, box: Box, scenario: Scenario) -> None:
        wrong = list(self._finish(box, scenario))
        assert not wrong, "\n".join(wrong)

    def _normal_of(self, box: Box, scenario: Scenario) -> tuple[set[str], float]:
        """(what the scenario leaves when nobody is ended, seconds of its command)."""
        if scenario.name not in self._normal:
            self._conclude(box, scenario)  # whatever the first use of an engine leaves is there then
            self._prepare(box, scenario)
            began = time.monotonic()
            box.run(*scenario.command, timeout=_LIMIT)
            seconds = time.monotonic() - began
            self._conclude(box, scenario)
            self._whole(box)
            self._normal[scenario.name] = rest(box.settings), seconds
        return self._normal[scenario.name]

    def _target(self, box: Box, victim: str) -> kit.Target:
        """The victim as it runs now; waits until the engine is whole."""
        self._whole(box)
        if victim == "supervisor":
            return kit.Target(victim, box.supervisor, talks=True)
        with closing(Supervisor(f"{box.settings.run}/supervisor.sock")) as supervisor:
            pid = supervisor.status()[victim].pid
        worker = victim == "worker"
        return kit.Target(victim, pid, forks=worker, talks=worker, threads=victim in ("daemon", "resolver"))

    def _whole(self, box: Box) -> None:
        """Wait until a worker waits for the next command, beside the process that makes them."""
        box.run("ps")
        deadline = time.monotonic() + _REST
        while commands(processes(box.settings)).count("stackfile.worker") < 2:
            assert time.monotonic() < deadline, f"no warm worker\n{box.logs()}"
            time.sleep(0.02)

    def _left(self, box: Box, normal: set[str]) -> Iterator[str]:
        deadline = time.monotonic() + _REST
        while True:
            try:
                left = rest(box.settings) - normal
            except StackfileError as error:
                left = {str(error)}
            if not left:
                return
            if time.monotonic() > deadline:
                yield f"left behind: {sorted(left)}"
                return
            time.sleep(0.05)

    def _abandon(self) -> None:
        """Let go of the engine, whatever it is in; the next use starts another one."""
        box, self._box, self._normal = self._box, None, {}
        if box is not None:
            wreck(box.settings)
            shutil.rmtree(box.directory.parent, ignore_errors=True)


def chosen(points: list[kit.Point], seed: str) -> list[kit.Point]:
    """All points in the order of `seed`, those before the effect and those after it in turn."""
    shuffled = random.Random(seed).sample(points, len(points))
    order = ("before", "after") if random.Random(seed).random() < 0.5 else ("after", "before")
    sides = [[point for point in shuffled if point.when == when] for when in order]
    return [point for point in chain(*zip_longest(*sides)) if point is not None]


def point_seed() -> str:
    """What chooses a test's points: `KILL_SEED` in the environment, else always the same."""
    return os.environ.get("KILL_SEED", "1")


def moment_seed() -> str:
    """What chooses a test's moments: `KILL_SEED` in the environment, else another one at each run."""
    return os.environ.get("KILL_SEED") or os.urandom(4).hex()


@pytest.fixture(scope="module")
def kills() -> Iterator[Kills]:
    """An engine whose processes are ended; nothing may be left of it at the end."""
    made = Kills()
    try:
        yield made
    finally:
        made.close()
