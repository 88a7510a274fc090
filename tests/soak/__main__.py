"""`python -m tests.soak [--minutes N] [--seed N] [--kill]`: prints the figures; exit 1 when something was wrong."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stackfile import api
from stackfile.errors import EngineError
from stackfile.supervisor.view import complete
from tests import leaks
from tests.conftest import Box, own_settings
from tests.integration.crowds import PATIENCE, own
from tests.integration.quickstart import free_port, get
from tests.soak import work
from tests.soak.measure import OF_A_PROCESS, Series, not_flat, processes, sample, table
from tests.soak.stacks import NAMES, SoakStack
from tests.soak.work import Site

ROUND = 20.0
"""Seconds of work between two quiet points."""
THREADS_PER_STACK = 2
VICTIMS = ("daemon", "shim", "resolver", "worker", "supervisor")


class Soak:
    """One soak, from the first `up` to the leak test."""

    def __init__(self, box: Box, seed: int, kills: bool) -> None:
        self.box = box
        self.kills = kills
        self.killed: Counter[str] = Counter()
        self.chance = random.Random(seed)
        ports: set[int] = set()
        while len(ports) < len(NAMES):
            ports.add(free_port())
        self.stacks = [SoakStack(name, box.directory / name, port) for name, port in zip(NAMES, ports, strict=True)]
        self.sites = [Site(box, random.Random(self.chance.random())) for _ in NAMES for _ in range(THREADS_PER_STACK)]
        self.series: dict[str, Series] = {}
        self.wrong: list[str] = []
        self.pids: dict[str, int] = {}
        self.watch = leaks.Watch((), ())
        self.before: leaks.Lists = {}
        self.begin = 0.0

    def run(self, minutes: float) -> None:
        self.prepare()
        self.begin = time.monotonic()
        self.quiet()
        while time.monotonic() < self.begin + 60 * minutes and len(self.wrong) < 10:
            self.busy(min(ROUND, self.begin + 60 * minutes - time.monotonic()))
            self.quiet()
            print(f"{(time.monotonic() - self.begin) / 60:5.1f} min  {self.total().total()} operations, "
                  f"{len(self.wrong)} wrong", flush=True)  # fmt: skip
        self.end()

    def total(self) -> Counter[str]:
        return sum((site.done for site in self.sites), Counter())

    def prepare(self) -> None:
        """Everything was up once and is down again: what is there then may be there at the end."""
        self.box.run("daemon", "start")
        with api.connect(environ=self.box.settings.environment()) as client:
            client.docker("POST", "networks", "create", value={"Name": "common"})
        self.all("up")
        self.all("down", "-v", "--rmi", "all")
        self.prune()
        self.whole()
        self.before = self.lists()
        self.pids = processes(self.box)

    def whole(self) -> None:
        """Wait until all processes of the engine are there and a command finds its worker warm."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(EngineError, OSError):
                pids = tuple(processes(self.box).values())
                if all(pids) and leaks.commands(leaks.descendants(pids)).count("stackfile.worker") > 1:
                    break
            assert time.monotonic() < deadline, self.box.logs()
            self.box.run("ps")  # the supervisor may be gone without anybody having noticed
            time.sleep(0.1)
        self.watch = leaks.Watch((self.box.settings.root, self.box.settings.run), pids)

    def lists(self) -> leaks.Lists:
        """What of the leak test's lists is this engine's. Who took over others' children has descriptors for them."""
        lists = own(self.watch) | leaks.marked(self.box.settings)
        return {kind: lists[kind] for kind in lists if kind != "fds" or not self.kills}

    def all(self, *args: str) -> None:
        """A command for each stack, at the same time; all have to succeed."""
        for stack in self.stacks:
            stack.write()
        with ThreadPoolExecutor(len(self.stacks)) as pool:
            list(pool.map(lambda pair: pair[0].run(pair[1], *args, must=True), zip(self.sites, self.stacks)))  # noqa: B905

    def busy(self, seconds: float) -> None:
        """Random work in threads of each stack's own, until the time is over."""
        until = time.monotonic() + seconds
        stop = threading.Event()

        def go_on(site: Site, stack: SoakStack) -> None:
            while time.monotonic() < until and not stop.is_set():
                try:
                    work.one(site, stack)
                except Exception as error:
                    site.wrong.append(f"{stack.name}: {error!r}")

        pairs = zip(self.sites, self.stacks * THREADS_PER_STACK, strict=True)
        threads = [threading.Thread(target=go_on, args=pair) for pair in pairs]
        if self.kills:
            threads.append(threading.Thread(target=self.kill_ours, args=(until, stop)))
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            # After a ctrl-C none of them may start the engine again.
            stop.set()
            for thread in threads:
                thread.join()

    def kill_ours(self, until: float, stop: threading.Event) -> None:
        """kill -9 of one of the engine's own processes every few seconds; the last is a moment before the end."""
        while not stop.wait(min(self.chance.uniform(2, 8), max(0, until - time.monotonic()))):
            name = self.chance.choice(VICTIMS)
            with contextlib.suppress(EngineError, OSError):
                if pid := processes(self.box)[name]:
                    os.kill(pid, 9)
                    self.killed[name] += 1
            if time.monotonic() >= until:
                return

    def quiet(self) -> None:
        """Each stack is made what its file says; then nothing is left to do, all answer, and a sample is taken."""
        self.whole()
        self.sweep()
        for stack, site in zip(self.stacks, self.sites, strict=False):
            stack.rest()
            site.run(stack, "up", "-d")
            site.run(stack, "exec", "store", "busybox", "touch", "/tmp/well")
        time.sleep(3)  # by then a check has seen that it is well
        self.all("up")
        self.prune()
        self.all("plan", "--exit-code")
        with api.connect(environ=self.box.settings.environment()) as client:
            for stack in self.stacks:
                self.check_count(stack, client)
                self.check_answers(stack)
        for name, value in sample(self.box).items():
            self.series.setdefault(name, Series()).points.append(((time.monotonic() - self.begin) / 3600, value))
        for site in self.sites:
            self.wrong += site.wrong
            site.wrong.clear()

    def sweep(self) -> None:
        """Remove what belongs to no stack and whose removal was cut short."""
        with api.connect(environ=self.box.settings.environment()) as client:
            for record in client.containers():
                if record.spec.name.startswith(work.ASIDE):
                    client.remove(record.id, force=True)
            for network in client.networks():
                if network.name.startswith(work.ASIDE):
                    client.remove_network(network.id)

    def check_count(self, stack: SoakStack, client: api.Client) -> None:
        found = [record.spec.name for record in client.containers(stack.name) if record.state.running]
        if len(found) != stack.count:
            self.wrong.append(f"{stack.name} has {len(found)} containers, not {stack.count}: {found}")

    def check_answers(self, stack: SoakStack) -> None:
        """All requests to its port are answered."""
        try:
            if not all(get(stack.port).strip() for _ in range(20)):
                self.wrong.append(f"{stack.name} answers with nothing")
        except OSError as error:
            self.wrong.append(f"{stack.name} does not answer: {error}")

    def prune(self) -> None:
        self.box.run("image", "prune", "-f", code=None)
        self.box.run("system", "settle")

    def end(self) -> None:
        self.all("down", "-v", "--rmi", "all")
        self.prune()
        if left := leaks.leaked(self.before, self.lists, 30):
            self.wrong.append(f"left over: {left}")
        if not self.kills and (now := processes(self.box)) != self.pids:
            self.wrong.append(f"processes of ours were replaced: {self.pids} became {now}")
        for quantity, series in self.series.items():
            if self.kills and quantity.startswith(OF_A_PROCESS):
                continue  # samples of processes of different ages tell nothing
            if why := not_flat(quantity, series):
                self.wrong.append(why)
        for path in sorted(Path(self.box.settings.run).glob("*.log")):
            text = path.read_text(errors="replace")
            if "Traceback" in text or " ERROR " in text:
                self.wrong.append(f"{path.name} has errors: {text[max(0, text.find('Traceback') - 500) :][:3000]}")

    def report(self) -> None:
        """The table of figures."""
        print(f"\n{table(self.series)}")
        refused = sum((site.refused for site in self.sites), Counter[str]())
        print(f"\noperations: {self.total().total()}: {dict(self.total())}\nrefused in between: {dict(refused)}")
        if self.killed:
            print(f"killed: {dict(self.killed)}")
        print(f"quiet points: {len(next(iter(self.series.values())).points)}; wrong: {len(self.wrong)}")
        for text in self.wrong:
            print(f"- {text}")


def _left(box: Box) -> list[int]:
    """Processes of an engine that could not be closed, by their environment: numbers may be others' by now."""
    found = []
    for pid in leaks.descendants([1]):
        with contextlib.suppress(OSError):
            if f"={box.settings.run}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(pid)
    return leaks.descendants(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--kill", action="store_true", help="kill -9 the engine's own processes meanwhile")
    given = parser.parse_args()
    here = os.getcwd()
    complete()
    os.chdir(here)
    print(f"seed {given.seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="sf-soak-", dir="/var/tmp"))
    (directory / "work").mkdir()
    box = Box(own_settings(directory), directory / "work", {"STACKFILE_LOG_LEVEL": "info"})
    soak = Soak(box, given.seed, given.kill)
    try:
        soak.run(given.minutes)
        soak.report()
    finally:
        box.close()
        for pid in _left(box):
            os.kill(pid, 9)
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
