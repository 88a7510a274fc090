"""Beside a real dockerd in the same network namespace: ours work, theirs too, and nothing of ours is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from stackfile import api
from stackfile.kernel.namespace import fresh
from stackfile.network import sysctl
from tests import leaks
from tests.conftest import Box, own_settings
from tests.integration.netlab import BUSYBOX_STACK, MACHINE, OTHER, neighbour, shell
from tests.integration.netprobe import Question, Service, ask, serving
from tests.peers import Docker, dockerd

pytestmark = pytest.mark.root

STACK = (
    BUSYBOX_STACK
    + """name: shop
services:
  web: {<<: *app, ports: ["8080:80", "127.0.0.1:8081:80"]}
  peer: {<<: *app}
"""
)


class Machine:
    """A machine, as a network namespace, with an engine of ours and room for a dockerd."""

    def __init__(self, box: Box, places: dict[str, int]) -> None:
        self.box = box
        self.places = places
        self.addresses: dict[str, str] = {}

    def up(self) -> None:
        self.box.run("up", "-d")
        with api.connect(environ=self.box.settings.environment()) as client:
            for record in client.containers("shop"):
                self.note(record.spec.labels["com.docker.compose.service"], record.state.pid, record.endpoints[0].ipv4)

    def run(self, docker: Docker) -> None:
        """Two containers of Docker's, one with a published port."""
        for name, options in (("whale", ("-p", "8180:80")), ("calf", ())):
            docker.cli("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")
            found = docker.cli(
                "inspect", "-f", "{{.State.Pid}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name
            ).stdout.split()  # fmt: skip
            self.note(name, int(found[0]), found[1])

    def note(self, name: str, pid: int, address: str) -> None:
        if name in self.places:
            os.close(self.places[name])
        self.places[name] = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        self.addresses[name] = address

    def wrong(self, *, ours: bool = True, theirs: bool = True) -> list[str]:
        """Answers that are not as they should be."""
        rows: list[Question] = []

        def to(sources: str, address: str, port: int, answer: str) -> None:
            rows.extend(Question(source, "tcp", address, port, answer) for source in sources.split())

        if ours:
            to("machine neighbour web peer", MACHINE, 8080, "web")
            to("machine", "127.0.0.1", 8080, "web")
            to("machine", "127.0.0.1", 8081, "web")
            to("neighbour peer", MACHINE, 8081, "")
            to("peer", self.addresses["web"], 80, "web")
            to("web peer", OTHER, 80, "neighbour")
            to("neighbour", self.addresses["web"], 80, "")
        if theirs:
            to("machine neighbour", MACHINE, 8180, "whale")
            to("calf", self.addresses["whale"], 80, "whale")
            to("whale calf", OTHER, 80, "neighbour")
        if ours and theirs:
            to("whale calf", MACHINE, 8080, "web")
            to("web peer", MACHINE, 8180, "whale")
            to("whale", MACHINE, 8081, "")
            to("whale calf", self.addresses["web"], 80, "")
            to("web", self.addresses["calf"], 80, "")
        names = ["neighbour", *(["web", "peer"] if ours else []), *(["whale", "calf"] if theirs else [])]

        async def check() -> list[str]:
            async with serving(self.places, [Service(name, "tcp", "0.0.0.0", 80) for name in names]):
                return await ask(self.places, rows)

        return asyncio.run(check())


@pytest.fixture
def machine() -> Iterator[Machine]:
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    (directory / "work").mkdir()
    box = Box(own_settings(directory), directory / "work")
    box.stack(STACK)
    with ExitStack() as stack, fresh() as netns:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        shell("ip link set lo up")
        outside = neighbour(box.settings.address_pool, box.settings.address_pool6)
        try:
            yield Machine(box, {"machine": netns, "neighbour": outside})
            box.close()
        finally:
            for pid in reversed(leaks.descendants([box.supervisor] if box.supervisor else [])):
                os.kill(pid, 9)


@contextmanager
def served(machine: Machine) -> Iterator[None]:
    """A dockerd with its containers."""
    with dockerd(machine.box.directory / "docker", own_network=False) as docker:
        machine.run(docker)
        yield
        docker.cli("rm", "-f", "whale", "calf")  # sleep would not end by itself


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, shell("nft list ruleset")
        time.sleep(0.05)


def marks() -> int:
    """How many rules of ours stand in others' chains."""
    return shell("nft list ruleset").count('comment "stackfile stackfile-')


def test_beside_docker(machine: Machine) -> None:
    machine.up()
    with served(machine):
        # Docker came after us: it found forwarding on, so it leaves the policy alone; others do not.
        shell("iptables -P FORWARD DROP")
        until(lambda: marks() == 2)
        assert not machine.wrong()
        # An administrator's rule, and Docker's chains loaded anew without ours: they come back, behind his.
        shell(
            "iptables-save -t filter | grep -v stackfile | sed 's/^-A DOCKER-USER -j RETURN/"
            "-A DOCKER-USER -s 198.51.100.7 -j DROP\\n&/' | iptables-restore"
        )
        until(lambda: marks() == 2)
        lines = shell("nft list chain ip filter DOCKER-USER").splitlines()[2:6]
        assert ["198.51.100.7" in lines[0], *("stackfile" in line for line in lines[1:])] == [True, True, True, False]
        assert not machine.wrong(theirs=False)
    with served(machine):
        until(lambda: marks() == 2)
        assert not machine.wrong()
        assert machine.box.run("drift", "--exit-code").stdout == "shop is as it was applied.\n"
        # We go: nothing of ours is left, and what Docker relies on stays on.
        machine.box.run("down")
        machine.box.run("daemon", "stop")
        until(lambda: marks() == 0)
        assert "stackfile" not in shell("nft list ruleset")
        assert sysctl.read(sysctl.FORWARD) == "1"
        assert not machine.wrong(ours=False)
        # Now Docker was here before us.
        machine.up()
        until(lambda: marks() == 2)
        assert not machine.wrong()
        machine.box.run("down")
        until(lambda: marks() == 0)
        assert not machine.wrong(ours=False)
