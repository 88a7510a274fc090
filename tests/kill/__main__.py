"""Kill points of `up` and `down`: `python -m tests.kill [--seed N] [--points N] [--victim V] [--command C]`, as root.

For each victim and command the state-changing calls are recorded once; then the command runs again for each point (or
for `--points` of them, chosen by `--seed`) while the victim is ended there. After each the next `up` must converge,
`plan` and `drift` find nothing, and `down -v` leave what an engine at rest has. Exit code 1 if one did not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

os.environ["TEST_CLIENT"] = "1"  # commands run in warm workers: one of the victims

from stackfile.errors import StackfileError
from stackfile.supervisor.client import Supervisor
from tests import leaks
from tests.conftest import Box, own_settings
from tests.integration import quickstart
from tests.kill import kit

VICTIMS = ("daemon", "shim", "supervisor", "worker")
COMMANDS = {"up": ("up",), "down": ("down", "-v")}
_LIMIT = 120.0
_STACK = """
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


def target(box: Box, victim: str) -> kit.Target:
    """The victim as it runs now; waits until the engine is whole."""
    box.run("ps")
    box.watch()
    if victim == "supervisor":
        return kit.Target(victim, box.supervisor, talks=True)
    with closing(Supervisor(f"{box.settings.run}/supervisor.sock")) as supervisor:
        return kit.Target(victim, supervisor.status()[victim].pid, forks=victim == "worker", talks=victim == "worker")


def rest(box: Box) -> set[str]:
    """What the engine has in the kernel and in its run root, without what its own processes are."""
    settings = box.settings
    found = {f"link {name}" for name in os.listdir("/sys/class/net") if name.startswith(settings.bridge_prefix)}
    for parent in Path("/sys/fs/cgroup").glob(f"*/{settings.cgroup_parent}"):
        found |= {f"cgroup {directory}" for directory, _, _ in os.walk(parent)} - {f"cgroup {parent}"}
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found |= {
        f"mount {line.split()[4]}" for line in mounts if f"{settings.root}/" in line or f"{settings.run}/" in line
    }
    table = subprocess.run(["nft", "list", "table", "inet", settings.nft_table], capture_output=True, text=True)
    rules = re.sub(r"counter packets \d+ bytes \d+", "counter", table.stdout)
    found |= {f"nft {line.strip()}" for line in rules.splitlines()}
    # os.walk suffers what goes away meanwhile.
    for directory, _, files in os.walk(settings.run):
        found |= {f"run {directory}/{name}" for name in files if not name.endswith(".log")}
    known = leaks.commands(leaks.descendants([box.supervisor]))
    return found | {f"process {name}" for name in known}


def verify(box: Box, idle: set[str]) -> Iterator[str]:
    """What is wrong after a kill: one line each."""
    for command in (("up",), ("plan", "--exit-code"), ("drift", "--exit-code"), ("down", "-v")):
        done = box.run(*command, code=None, timeout=_LIMIT)
        if done.returncode:
            yield f"{' '.join(command)} exits {done.returncode}: {done.stdout[-1200:]}{done.stderr[-1200:]}"
    deadline = time.monotonic() + 20
    while left := rest(box) - idle:
        if time.monotonic() > deadline:
            yield f"left behind: {sorted(left)}"
            return
        time.sleep(0.2)


@contextmanager
def engine() -> Iterator[Box]:
    """An engine of the run's own with the stack file; ended at the end, whatever it is in."""
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    (directory / "work").mkdir()
    box = Box(own_settings(directory), directory / "work")
    box.stack(_STACK.replace("PORT", str(quickstart.free_port())))
    try:
        yield box
        box.close()
    finally:
        for pid in reversed(leaks.descendants([box.supervisor] if box.supervisor else [])):
            os.kill(pid, 9)
        shutil.rmtree(directory, ignore_errors=True)


def prepare(box: Box, command: str) -> None:
    """The state in which `command` has the most to do; for `up` the image is built anew too."""
    if command == "down":
        box.run("up")
    else:
        box.run("image", "rm", "--force", "tools", code=None)


def points(box: Box, victims: list[str], commands: list[str]) -> list[tuple[str, kit.Point]]:
    """Every point of the victims while the commands run."""
    found = []
    for victim in victims:
        for command in commands:
            prepare(box, command)
            made = kit.record(target(box, victim), partial(box.run, *COMMANDS[command], timeout=_LIMIT))
            box.run("down", "-v")
            print(f"{victim} during {command}: {len(made)} points", flush=True)
            found += [(command, point) for point in made]
    return found


def run(box: Box, command: str, point: kit.Point, idle: set[str]) -> tuple[bool, list[str]]:
    """(was the point reached, what is wrong afterwards)."""
    prepare(box, command)
    try:
        reached = kit.killed(
            point, target(box, point.victim), partial(box.run, *COMMANDS[command], code=None, timeout=_LIMIT)
        )
        return reached, list(verify(box, idle))
    except (AssertionError, OSError, StackfileError, subprocess.TimeoutExpired) as error:
        return True, [f"{type(error).__name__}: {error}"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description="Kill points of up and down.")
    parser.add_argument("--seed", type=int, default=1, help="of the choice and order of points")
    parser.add_argument("--points", type=int, help="how many (default: all)")
    parser.add_argument("--victim", choices=VICTIMS, action="append", help="repeatable (default: all)")
    parser.add_argument("--command", choices=tuple(COMMANDS), action="append", help="repeatable (default: all)")
    given = parser.parse_args()
    with engine() as box:
        box.run("up")
        box.run("down", "-v")
        box.watch()
        time.sleep(3)  # what is kept ready for a moment after the last container is given up
        idle = rest(box)
        chosen = points(box, given.victim or list(VICTIMS), given.command or list(COMMANDS))
        random.Random(given.seed).shuffle(chosen)
        chosen = chosen[: given.points]
        reached = failed = 0
        for command, point in chosen:
            hit, wrong = run(box, command, point, idle)
            reached += hit
            failed += bool(wrong)
            word = "FAILED" if wrong else "ok" if hit else "not reached"
            print(json.dumps({"result": word, "command": command, **vars(point)}), *wrong, sep="\n  ", flush=True)
        print(f"{len(chosen)} points, {reached} reached, {failed} failed")
        return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
