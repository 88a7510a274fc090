"""What this machine forbids now: exit 1 with the reason, nothing half done, and right once the cause is gone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stackfile import api
from stackfile.api import Client, LoadOptions
from stackfile.api.client import result_of
from stackfile.model import labels
from stackfile.model.observed import DownOptions, UpOptions
from tests.conftest import Box
from tests.integration.quickstart import free_port

pytestmark = pytest.mark.root

IMAGES = """images:
  app:
    from: scratch
    steps:
      - host: {programs: [busybox]}
"""


class Machine:
    """An engine, and projects whose `up` fails on it."""

    def __init__(self, box: Box, client: Client) -> None:
        self.box = box
        self.client = client

    def write(self, name: str, web: str, rest: str = "") -> None:
        """A project of one service `web`, with these lines."""
        text = f"name: {name}\n{IMAGES}{rest}services:\n  web:\n    stop_grace_period: 0s\n"
        lines = web.splitlines()
        keys = {line.partition(":")[0] for line in lines}
        lines += ["image: app"] if "image" not in keys else []
        lines += ['command: [busybox, sleep, "1000"]'] if "command" not in keys else []
        directory = self.box.directory / name
        directory.mkdir(exist_ok=True)
        (directory / "stack.yaml").write_text(text + "".join(f"    {line}\n" for line in lines))

    def fails(self, name: str, reason: str, *words: str, options: tuple[str, ...] = ()) -> None:
        """`up` exits 1 with this reason; nothing of the service is in the kernel."""
        before = self.kernel()
        result = self.box.run("--json", "up", *options, cwd=self.box.directory / name, code=1)
        errors = json.loads(result.stdout.splitlines()[-1])["errors"]
        assert [item["reason"] for item in errors] == [reason], errors
        text = json.dumps(errors, ensure_ascii=False)
        assert all(word in text for word in words), (words, text)
        assert [one for one in self.client.containers(name) if one.state.running] == []
        # A dead container's group goes in the background.
        deadline = time.monotonic() + 3
        while (left := self.kernel() - before - self.networks(name)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, left

    def works(self, name: str) -> None:
        """The cause is gone: it runs, and goes without a trace."""
        stack = api.load(LoadOptions(directory=str(self.box.directory / name), environ={}))
        result_of(self.client.up(stack, UpOptions()))
        assert [one.state.running for one in self.client.containers(name)] == [True]
        self.away(name)

    def away(self, name: str) -> None:
        result_of(self.client.down(name, DownOptions(volumes=True)))
        assert self.client.containers(name) == []

    def run(self, name: str, web: str, rest: str = "") -> None:
        """A project that is in the way of another."""
        self.write(name, web, rest)
        self.box.run("up", cwd=self.box.directory / name)

    def kernel(self) -> set[str]:
        """Our bridges and what is at them (pairs that wait for a container are at none), cgroups of containers."""
        settings = self.box.settings
        net = "/sys/class/net"
        links = {
            f"link {name}"
            for name in os.listdir(net)
            if name.startswith(settings.bridge_prefix)
            and any(os.path.exists(f"{net}/{name}/{part}") for part in ("bridge", "master"))
        }
        roots = [Path("/sys/fs/cgroup", settings.cgroup_parent), *Path("/sys/fs/cgroup").glob(
            f"*/{settings.cgroup_parent}")]  # fmt: skip
        groups = {f"cgroup {path.name}" for root in roots for path in root.glob("*/") if len(path.name) == 64}
        return links | groups

    def networks(self, name: str) -> set[str]:
        """Links of the bridges of a project: those are whole, and stay for the next `up`."""
        prefix = self.box.settings.bridge_prefix
        rows = self.client.docker("GET", "networks")
        return {f"link {prefix}{row['Id'][:10]}" for row in rows if row["Name"].startswith(f"{name}_")}


@contextmanager
def machine(box: Box) -> Iterator[Machine]:
    box.run("daemon", "start")
    with api.connect(f"{box.settings.run}/stackfile.sock", start=False) as client:
        yield Machine(box, client)


def test_what_this_machine_forbids_now(box: Box) -> None:
    with machine(box) as on:
        on.run("other", "container_name: the-one\nnetworks: [n]",
               "networks: {n: {ipam: {config: [{subnet: 10.209.1.0/24}]}}}\n")  # fmt: skip

        # a port that another program has; its holder is named
        port = free_port()
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("0.0.0.0", port))
            taken.listen()
            on.write("port", f'ports: ["{port}:80"]')
            on.fails("port", "port-taken", str(port))
        on.works("port")

        # an image that is not here and must not be fetched
        on.write("image", "image: example.test/none:1\npull_policy: never")
        on.fails("image", "image-not-found", "example.test/none")

        # commands that are not there, that fail, that are never healthy
        on.write("command", "command: [/no/such/program]")
        on.fails("command", "command-not-found", "/no/such/program")
        on.write("command", 'command: [busybox, sh, "-c", "echo broken; exit 3"]')
        on.fails("command", "exited-early", "code 3")
        on.write("command", 'healthcheck: {test: ["CMD", "false"], interval: 100ms, retries: 1}')
        on.write("command", "")
        on.works("command")

        # a limit that the kernel refuses
        on.write("cgroup", 'cpuset: "900"')
        on.fails("cgroup", "kernel", "cpuset")
        on.write("cgroup", "")
        on.works("cgroup")

        # a host path that is not there
        on.write("path", "volumes: [{type: bind, source: /no/such, target: /x, bind: {create_host_path: false}}]")
        on.fails("path", "not-found", "/no/such")

        # subnets: of another network, of the machine itself; none left
        on.write("subnet", "networks: [n]", "networks: {n: {ipam: {config: [{subnet: 10.209.1.128/25}]}}}\n")
        on.fails("subnet", "conflict", "10.209.1.")
        on.write("subnet", "networks: [n]", "networks: {n: {ipam: {config: [{subnet: 127.0.0.0/16}]}}}\n")
        on.fails("subnet", "conflict", "127.0.0.0")
        on.write("full", "networks: [n]\ndeploy: {replicas: 3}",
                 "networks: {n: {ipam: {config: [{subnet: 10.209.2.0/30}]}}}\n")  # fmt: skip
        result = box.run("--json", "up", cwd=box.directory / "full", code=1)
        assert '"address-exhausted"' in result.stdout
        on.away("full")

        # a name and a volume that another project has
        on.write("name", "container_name: the-one")
        on.fails("name", "name-taken", "the-one")
        on.away("other")
        on.works("name")


def test_a_full_disk(box: Box) -> None:
    root = box.settings.root
    os.makedirs(root)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", root], check=True)
    try:
        with machine(box) as on:
            on.write("full", "")
            on.fails("full", "disk-full")
            subprocess.run(["mount", "-o", "remount,size=64m", root], check=True)
            on.works("full")
        box.run("daemon", "stop", "--force")
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def test_an_exhausted_pool(box: Box) -> None:
    box.settings = replace(box.settings, address_pool="10.211.0.0/24")
    with machine(box) as on:
        on.write("pool", "networks: [a, b]", "networks: {a: {}, b: {}}\n")
        on.fails("pool", "address-exhausted")
        (first,) = [network.labels[labels.NETWORK] for network in on.client.networks() if network.name[:5] == "pool_"]
        on.write("pool", f"networks: [{first}]", f"networks: {{{first}: {{}}}}\n")
        on.box.run("up", "--remove-orphans", cwd=box.directory / "pool")
        on.away("pool")
