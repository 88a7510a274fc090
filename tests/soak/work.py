"""What is done at random: each a function of a stack, told by name in the table at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from stackfile import api
from stackfile.errors import StackfileError
from stackfile.model.container import ContainerSpec
from tests.conftest import CLIENT, Box
from tests.integration.crowds import PATIENCE
from tests.soak.stacks import SoakStack

DOCKER = shutil.which("docker")
ASIDE = "aside-"
"""How names begin of what belongs to no stack."""
_SLEEP = ("busybox", "sleep", "60")
_EXPECTED = ("exited-early", "not-found", "not-running", "conflict", "already-running", "unhealthy", "cancelled",
             "port-taken", "in-use", "name-taken", "image-not-found", "network-in-use", "volume-in-use",
             "engine-unreachable")  # fmt: skip
"""Reasons for which work may fail while others kill, remove and change the same containers.

An engine that nobody kills is always there: the end looks whether its processes are still those of the begin.
"""


@dataclass
class Site:
    """Where one thread works: its own random numbers and its own counts."""

    box: Box
    chance: Random
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def start(self, stack: SoakStack, *args: str) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.box.settings.environment()}
        return subprocess.Popen(
            [*CLIENT, *args], cwd=stack.directory, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    @contextlib.contextmanager
    def client(self, what: str, stack: SoakStack) -> Iterator[api.Client]:
        """The API. A refusal ends the block; it is counted, and wrong where there is no known reason for it."""
        try:
            with api.connect(environ=self.box.settings.environment()) as client:
                yield client
        except StackfileError as error:
            self.refused[what] += 1
            if error.reason not in _EXPECTED:
                self.wrong.append(f"{stack.name}: {what}: {error.reason}: {error}")

    def run(self, stack: SoakStack, *args: str, must: bool = False) -> str:
        """A command of ours to its end. What fails is counted; with `must`, or for no known reason, it is wrong."""
        process = self.start(stack, *args)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.wrong.append(f"{stack.name}: {args} took longer than {PATIENCE:g} s")
            return ""
        if process.returncode:
            self.refused[args[0]] += 1
            if must or "internal" in err or "Traceback" in err:
                self.wrong.append(f"{stack.name}: {args} exited {process.returncode}: {out[-500:]} {err[-1500:]}")
        return out

    def read_from(self, stack: SoakStack, *args: str, lines: int) -> None:
        """Begin a command of ours that has no end, read some lines, and go away."""
        process = self.start(stack, *args)
        assert process.stdout is not None
        guard = threading.Timer(PATIENCE, process.kill)  # a service may write nothing for as long as it is down
        guard.start()
        for _ in range(lines):
            if not process.stdout.readline():
                break
        guard.cancel()
        process.stdout.close()
        if self.chance.random() < 0.5:
            process.kill()
        process.wait(PATIENCE)

    def kill_during(self, stack: SoakStack, *args: str, most: float) -> None:
        """Begin a command of ours and kill -9 its client within `most` seconds."""
        process = self.start(stack, *args)
        time.sleep(self.chance.uniform(0, most))
        process.kill()
        process.communicate()


def up(site: Site, stack: SoakStack) -> None:
    stack.change(site.chance)
    site.run(stack, "up")


def scale(site: Site, stack: SoakStack) -> None:
    site.run(stack, "scale", f"web={site.chance.randint(1, 7)}")


def down(site: Site, stack: SoakStack) -> None:
    site.run(stack, "down", *(("-v",) if site.chance.random() < 0.3 else ()))
    site.run(stack, "up")


def vanish(site: Site, stack: SoakStack) -> None:
    stack.change(site.chance)
    site.kill_during(stack, site.chance.choice(("up", "down", "restart")), most=1.5)


def execute(site: Site, stack: SoakStack) -> None:
    service = site.chance.choice(("web", "store", "worker"))
    site.run(stack, "exec", service, "busybox", "sh", "-c", "busybox seq 1000; exit 0")


def follow(site: Site, stack: SoakStack) -> None:
    if site.chance.random() < 0.5:
        site.kill_during(stack, "logs", "-f", most=1.0)
    else:
        site.read_from(stack, "logs", "-f", lines=site.chance.randint(1, 50))


def events(site: Site, stack: SoakStack) -> None:
    site.kill_during(stack, "events", "--since", "2s", most=1.0)


def look(site: Site, stack: SoakStack) -> None:
    site.run(stack, site.chance.choice(("ps", "drift", "logs", "top", "plan")))


def restart(site: Site, stack: SoakStack) -> None:
    site.run(stack, site.chance.choice(("restart", "stop", "kill", "start")), site.chance.choice(("web", "worker")))


def kill(site: Site, stack: SoakStack) -> None:
    """A container's program dies, or the container is removed behind the stack's back."""
    with site.client("kill", stack) as client:
        found = [record for record in client.containers(stack.name) if record.state.running]
        if found and site.chance.random() < 0.7:
            client.kill(site.chance.choice(found).id)
        elif found:
            client.remove(site.chance.choice(found).id, force=True)


def kill_program(site: Site, stack: SoakStack) -> None:
    """A container's program is killed by the kernel's means."""
    with site.client("kill", stack) as client:
        found = [record for record in client.containers(stack.name) if record.state.pid]
        if found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(site.chance.choice(found).state.pid, 9)


def one_off(site: Site, stack: SoakStack) -> None:
    """A container of its own, with an anonymous volume."""
    site.run(stack, "run", "--rm", "-T", "--no-deps", "-v", "/own", "worker", "busybox", "echo", "hello")


def create(site: Site, stack: SoakStack) -> None:
    """A network with a container that is created, started or not, and removed with it."""
    name = f"{ASIDE}{stack.name}-{site.chance.randrange(1 << 30)}"
    with site.client("create", stack) as client:
        network = client.docker("POST", "networks", "create", value={"Name": name})["Id"]
        spec = ContainerSpec(name=name, image=f"{stack.name}/app", image_name=f"{stack.name}/app", command=_SLEEP)
        with site.client("create", stack) as other:
            identity = other.create(spec)
            other.docker("POST", "networks", network, "connect", value={"Container": identity})
            if site.chance.random() < 0.7:
                other.start(identity)
            other.remove(identity, force=True)
        client.remove_network(network)


def flap(site: Site, stack: SoakStack) -> None:
    """The store becomes ill, and well again."""
    site.run(stack, "exec", "store", "busybox", "rm", "-f", "/tmp/well")
    time.sleep(site.chance.uniform(0, 4))
    site.run(stack, "exec", "store", "busybox", "touch", "/tmp/well")


def docker(site: Site, stack: SoakStack) -> None:
    if DOCKER is None:
        return
    image = f"{stack.name}/app"
    name = f"{ASIDE}{stack.name}-{site.chance.randrange(1 << 30)}"
    commands = (
        ("ps", "-a"),
        ("run", "--rm", "--name", name, "--entrypoint", "/bin/busybox", image, "true"),
        ("network", "ls"),
        ("stats", "--no-stream"),
        ("exec", f"{stack.name}-store-1", "/bin/busybox", "true"),
        ("logs", "--tail", "5", f"{stack.name}-store-1"),
        ("image", "ls"),
    )
    command = [DOCKER, "-H", f"unix://{site.box.settings.socket}", *site.chance.choice(commands)]
    home = {"PATH": os.environ["PATH"], "HOME": str(Path(stack.directory))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=home, check=False)
    if done.returncode:
        site.refused["docker"] += 1
        if "internal" in done.stderr or "Traceback" in done.stderr:
            site.wrong.append(f"{command[3:]}: {done.stderr}")


WORK: dict[Callable[[Site, SoakStack], None], int] = {
    up: 4, scale: 3, down: 1, vanish: 2, execute: 5, follow: 3, events: 1, look: 4, restart: 2, kill: 3,
    kill_program: 2, one_off: 1, create: 1, flap: 1, docker: 4,
}  # fmt: skip
"""What may be done, and how often in proportion."""


def one(site: Site, stack: SoakStack) -> None:
    """Do something, and count it."""
    (work,) = site.chance.choices(list(WORK), list(WORK.values()))
    work(site, stack)
    site.done[work.__name__] += 1
