"""Drift: each kind of tampering is found with its fact and place, by `drift` and by `plan`, and `up` repairs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stackfile import api
from stackfile.api import Client, LoadOptions
from stackfile.api.client import result_of
from stackfile.kernel import nftables as nft
from stackfile.kernel import seqpacket
from stackfile.model.container import ContainerRecord, ExecSpec
from stackfile.model.observed import Drift, UpOptions
from stackfile.model.stack import Stack
from stackfile.network import table as tables
from tests.conftest import Box
from tests.integration.quickstart import free_port

pytestmark = pytest.mark.root

STACK = """
images:
  app:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: ["busybox", "mkdir", "-p", "/bin"]
      - run: ["busybox", "--install", "-s", "/bin"]
services:
  web:
    image: app
    command: [httpd, "-f", "-p", "80"]
    stop_grace_period: 0s
    mem_limit: 96m
    cpus: 0.5
    pids_limit: 50
    ports: ["PORT:80"]
    configs: [{source: conf, target: /etc/conf}]
    deploy: {replicas: 2}
  db:
    image: app
    command: [sleep, "1000"]
    stop_grace_period: 0s
    mem_limit: 64m
    volumes: ["data:/data"]
volumes: {data: {}}
configs:
  conf: {content: "hello"}
"""


class World:
    """A stack that is up, and what tampers with it."""

    def __init__(self, box: Box, client: Client, stack: Stack, port: int) -> None:
        self.box = box
        self.client = client
        self.stack = stack
        self.port = port

    def containers(self) -> dict[str, ContainerRecord]:
        return {record.spec.name: record for record in self.client.containers("p")}

    def web(self) -> ContainerRecord:
        return self.containers()["p-web-2"]

    def cgroup(self, name: str, identity: str) -> Path:
        """A file of a container's cgroup, in whatever hierarchy has it."""
        (found,) = Path("/sys/fs/cgroup").glob(f"*/{self.box.settings.cgroup_parent}/{identity}/{name}") or [
            Path("/sys/fs/cgroup", self.box.settings.cgroup_parent, identity, name)
        ]
        return found

    @property
    def bridge(self) -> str:
        identity: str = self.client.docker("GET", "networks", "p_default")["Id"]
        return self.box.settings.bridge_prefix + identity[:10]

    def ports(self) -> list[str]:
        """Not by /sys, which is that of the network namespace it was mounted in."""
        shown = subprocess.run(
            ["ip", "-j", "link", "show", "master", self.bridge], check=True, capture_output=True, text=True
        )
        return sorted(link["ifname"] for link in json.loads(shown.stdout or "[]"))

    def run(self, container: str, *argv: str) -> str:
        stream = self.client.exec_start(self.client.exec_create(container, ExecSpec(argv=argv)))
        try:
            return b"".join(iter(lambda: stream.read()[1], b"")).decode()
        finally:
            stream.close()


def limit(name: str, value: str) -> Callable[[World], None]:
    def tamper(world: World) -> None:
        world.cgroup(name, world.web().id).write_text(value)

    return tamper


def killed(world: World) -> None:
    os.kill(world.containers()["p-db-1"].state.pid, signal.SIGKILL)
    while world.containers()["p-db-1"].state.running:
        time.sleep(0.01)


def removed(world: World) -> None:
    world.client.remove("p-web-2", force=True)


def killed_with_all_its_processes(world: World) -> None:
    record = world.web()
    for pid in world.cgroup("cgroup.procs", record.id).read_text().split() if _v2() else [record.state.pid]:
        os.kill(int(pid), signal.SIGKILL)
    while world.web().state.running:
        time.sleep(0.01)


def _v2() -> bool:
    return os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def flushed_element(world: World) -> None:
    table = world.box.settings.nft_table
    with nft.Nftables() as kernel:
        (element, *_) = kernel.elements(tables.INET, table, "many_any4")
        kernel.commit([nft.delete_elements(tables.INET, table, "many_any4", nft.element(element.key))])


def deleted_table(world: World) -> None:
    with nft.Nftables() as kernel:
        kernel.commit([nft.delete_table(tables.INET, world.box.settings.nft_table)])


def ip(*words: str) -> None:
    subprocess.run(["ip", "link", *words], check=True)


def deleted_bridge(world: World) -> None:
    ip("delete", world.bridge)


def detached_link(world: World) -> None:
    ip("set", world.ports()[0], "nomaster")


def link_down(world: World) -> None:
    ip("set", world.ports()[0], "down")


def deleted_link(world: World) -> None:
    ip("delete", world.ports()[0])


def removed_volume(world: World) -> None:
    shutil.rmtree(f"{world.box.settings.root}/volumes/p_data/_data")


def changed_config(world: World) -> None:
    Path(world.box.settings.run, "containers", world.web().id, "files", "0").write_text("other")


def forgotten_names(world: World) -> None:
    with seqpacket.connect(f"{world.box.settings.run}/resolver.sock", 1 << 16) as connection:
        seqpacket.send(connection, f'{{"do": "forget", "id": "{world.web().id}"}}'.encode())
        seqpacket.receive(connection, 1 << 16)


def changed_sysctl(world: World) -> None:
    Path(f"/proc/sys/net/ipv4/conf/{world.bridge}/route_localnet").write_text("0")


MEMORY = "memory.max" if _v2() else "memory.limit_in_bytes"
CPU = ("cpu.max", "10000 100000") if _v2() else ("cpu.cfs_quota_us", "10000")
WEB, DB, NETWORK, VOLUME = "service.web", "service.db", "network.default", "volume.data"

KINDS: list[tuple[Callable[[World], None], str, str, str]] = [
    # what is done, the address and fact that `drift` names, and a part of the place
    (killed, DB, "running", "restart: no"),
    (killed_with_all_its_processes, WEB, "running", "restart: no"),
    (removed, WEB, "missing", "removed"),
    (limit(MEMORY, str(32 << 20)), WEB, "memory", MEMORY),
    (limit("pids.max", "7"), WEB, "pids", "pids.max"),
    (limit(*CPU), WEB, "nano_cpus", CPU[0]),
    (flushed_element, WEB, "ports", "nftables"),
    (deleted_table, NETWORK, "elements", "nftables"),
    (deleted_bridge, NETWORK, "bridge", "/sys/class/net/"),
    (detached_link, "", "networks", "/sys/class/net/"),
    (link_down, "", "networks", "/sys/class/net/"),
    (deleted_link, "", "networks", "/sys/class/net/"),
    (removed_volume, VOLUME, "directory", "/volumes/p_data/_data"),
    (changed_config, WEB, "/etc/conf", "/files/0"),
    (forgotten_names, WEB, "dns", "127.0.0.11"),
    (changed_sysctl, NETWORK, "route_localnet", "/route_localnet"),
]


@contextmanager
def up(box: Box) -> Iterator[World]:
    port = free_port()
    box.stack("name: p\n" + STACK.replace("PORT", str(port)))
    box.run("up")
    stack = api.load(LoadOptions(directory=str(box.directory), environ={}))
    with api.connect(f"{box.settings.run}/stackfile.sock", start=False) as client:
        yield World(box, client, client.upload(stack), port)


def matches(item: Drift, address: str, fact: str, place: str) -> bool:
    return item.field == fact and place in item.place and (not address or item.address == address)


@pytest.mark.usefixtures("apart")
def test_every_kind_of_tampering(box: Box) -> None:
    with up(box) as world:
        assert world.client.drift("p") == []
        first = {name: record.id for name, record in world.containers().items()}
        for tamper, address, fact, place in KINDS:
            name = getattr(tamper, "__name__", fact)
            tamper(world)
            found = world.client.drift("p")
            assert any(matches(item, address, fact, place) for item in found), (name, found)
            planned = world.client.plan(world.stack, UpOptions())
            causes = [action.cause.kind for action in planned.actions if action.cause]
            causes += [change.cause.kind for action in planned.actions for change in action.changes]
            assert "drift" in causes, (name, planned.actions)
            assert not address or address in {action.address for action in planned.actions}, (name, planned.actions)
            result_of(world.client.up(world.stack, UpOptions()))
            assert world.client.drift("p") == [], name
            assert world.client.plan(world.stack, UpOptions()).actions == (), name
            ids = {name: record.id for name, record in world.containers().items()}
            assert ids == first or tamper is removed, (name, "repaired without a new container")
            first = ids
        assert int(world.cgroup(MEMORY, world.web().id).read_text()) == 96 << 20
        assert world.run("p-web-2", "cat", "/etc/conf") == "hello"
        assert "1 packets received" in world.run("p-web-2", "ping", "-c1", "-W2", "db")
        shown = world.run("p-db-1", "wget", "-qO-", f"http://web:80/{'x'}")
        assert "refused" not in shown

        # for people: the mark, the fact by the kernel's name, from → to and the place; exit code 6 when asked for
        limit(MEMORY, str(32 << 20))(world)
        killed(world)
        result = box.run("drift", "--exit-code", code=6)
        lines = result.stdout.splitlines()
        assert lines[-1] == "2 resources drifted. `stackfile up` repairs them."
        assert any(
            line.startswith(" ~   service.web[2]") and MEMORY in line and "100663296 → 33554432" in line and "/sys/fs"
            in line for line in lines
        ), lines  # fmt: skip
        assert any(line.startswith(" >   service.db") and "exited 137 at" in line for line in lines), lines
        assert [row["address"] for row in box.json("drift", "db")] == ["service.db"]
        assert "drift: " in box.run("plan").stdout
        box.run("up")
        assert box.run("drift", "--exit-code").stdout == "p is as it was applied.\n"

        # scaling is no drift: that number was applied, until the next up
        box.run("scale", "web=1")
        assert box.run("drift", "--exit-code").stdout == "p is as it was applied.\n"
        box.run("up")
        assert len(world.containers()) == 3
