"""The resolver process: names as containers see them, over UDP and TCP, through restarts."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSServer

from stackfile.kernel.namespace import inside
from stackfile.network.resolver_client import ResolverClient
from stackfile.resolver.table import Scope, Table, Zone
from tests.integration.netlab import Lab, laboratory, shell

pytestmark = pytest.mark.root

TABLE = Table(
    zones={
        "n1": Zone(
            name="shop_default",
            names={"web": ("10.77.1.2", "10.77.1.3"), "shop-web-1": ("10.77.1.2",), "DB": ("10.77.1.4",)},
            reverse={"10.77.1.2": "shop-web-1"},
        ),
        "n2": Zone(name="shop_back", names={"db": ("10.77.2.4",), "hidden": ("10.77.2.5",)}),
    },
    scopes={
        "one": Scope(networks=("n1",), hosts={"extra": ("198.51.100.1",)}),
        "two": Scope(networks=("n2", "n1"), servers=("127.0.0.1",)),
        "offline": Scope(networks=("n1",), servers=("192.0.2.250",)),
    },
)


class Process:
    """A resolver process in the laboratory."""

    def __init__(self, run: Path) -> None:
        ready, ready_child = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-m", "stackfile.resolver", "--ready-fd", str(ready_child)],
            pass_fds=[ready_child],
            env={"STACKFILE_RUN": str(run), "PATH": os.environ["PATH"]},
            stderr=subprocess.DEVNULL,
        )
        os.close(ready_child)
        assert os.read(ready, 16) == b"ok\n"
        os.close(ready)

    def end(self, number: int) -> None:
        self._process.send_signal(number)
        self._process.wait(5)


class World:
    """Three containers that the resolver serves, as `one`, `two` and `offline`."""

    def __init__(self, lab: Lab, run: Path) -> None:
        self.lab = lab
        self.run = run
        self.path = str(run / "resolver.sock")
        network = lab.network(1)
        self.hosts = {name: lab.container(network, 10 + i) for i, name in enumerate(TABLE.scopes)}
        self.sockets = {name: lab.manager.dns_sockets(host.netns) for name, host in self.hosts.items()}
        self.process = Process(run)

    async def connected(self) -> ResolverClient:
        client = ResolverClient(self.path)
        await client.connect()
        await client.table(TABLE)
        for name, fds in self.sockets.items():
            await client.serve(name, *fds)
        return client

    def feed(self) -> None:
        """Do what the daemon does when containers start."""

        async def work() -> None:
            await (await self.connected()).close()

        asyncio.run(work())

    def ask(self, name: str, kind: str = "A", *, who: str = "one", tcp: bool = False) -> tuple[str, list[str]]:
        """(result code, record data) of a query from a container."""
        with inside(self.hosts[who].netns):
            packet = DNSRecord.question(name, kind).send("127.0.0.11", 53, tcp=tcp, timeout=5)
        answer = DNSRecord.parse(packet)
        return RCODE[answer.header.rcode], [str(record.rdata) for record in answer.rr]

    def close(self) -> None:
        self.process.end(signal.SIGTERM)
        for fds in self.sockets.values():
            for fd in fds:
                os.close(fd)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with laboratory() as lab:
        made = World(lab, tmp_path)
        made.feed()
        yield made
        made.close()


class Upstream(BaseResolver):  # type: ignore[misc]
    """Knows `known.example.` and nothing else."""

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        reply = request.reply()
        if str(request.q.qname).lower() == "known.example.":
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A("198.51.100.77"), ttl=60))
        else:
            reply.header.rcode = RCODE.NXDOMAIN
        return reply


@pytest.fixture
def upstream(world: World) -> Iterator[None]:
    """A DNS server on the machine's loopback, as systemd-resolved is: only reachable from the machine's namespace."""
    servers = [DNSServer(Upstream(), address="127.0.0.1", port=53, tcp=tcp) for tcp in (False, True)]
    for server in servers:
        server.start_thread()
    yield
    for server in servers:
        server.stop()
        server.server.server_close()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_names_of_ones_networks(world: World, tcp: bool) -> None:
    for name in ("web", "WEB", "tasks.web", "web.shop_default"):
        code, found = world.ask(name, tcp=tcp)
        assert (code, sorted(found)) == ("NOERROR", ["10.77.1.2", "10.77.1.3"]), name
    assert world.ask("db", tcp=tcp) == ("NOERROR", ["10.77.1.4"])
    assert world.ask("db", who="two", tcp=tcp) == ("NOERROR", ["10.77.2.4"])
    assert world.ask("extra", tcp=tcp) == ("NOERROR", ["198.51.100.1"])
    assert world.ask("nobody.shop_default", tcp=tcp) == ("NXDOMAIN", [])


def test_names_of_other_networks_are_unknown(world: World) -> None:
    assert world.ask("hidden", who="two")[0] == "NOERROR"
    assert world.ask("hidden", who="offline") == ("NXDOMAIN", [])
    assert world.ask("extra", who="offline") == ("NXDOMAIN", [])


def test_replicas_rotate(world: World) -> None:
    first = [world.ask("web")[1][0] for _ in range(6)]
    assert first == ["10.77.1.2", "10.77.1.3"] * 3


def test_known_name_without_such_records_is_empty(world: World) -> None:
    for kind in ("AAAA", "MX", "TXT", "HTTPS"):
        assert world.ask("web", kind) == ("NOERROR", [])


def test_reverse(world: World) -> None:
    assert world.ask("2.1.77.10.in-addr.arpa", "PTR") == ("NOERROR", ["shop-web-1.shop_default."])


def test_c_library_resolves(world: World) -> None:
    """As a program in a container does it: getaddrinfo by resolv.conf."""
    script = "import socket; print(sorted({r[4][0] for r in socket.getaddrinfo('web', 80)}))"
    with inside(world.hosts["one"].netns):
        conf = world.run / "resolv.conf"
        conf.write_text("nameserver 127.0.0.11\n")
        mount = f'mount --bind {conf} /etc/resolv.conf && exec {sys.executable} -I -S -c "{script}"'
        assert shell(f"unshare -m sh -c '{mount.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}'") == (
            "['10.77.1.2', '10.77.1.3']\n"
        )


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.usefixtures("upstream")
def test_other_names_are_asked_from_the_machine(world: World, tcp: bool) -> None:
    assert world.ask("known.example", who="two", tcp=tcp) == ("NOERROR", ["198.51.100.77"])
    assert world.ask("unknown.example", who="two", tcp=tcp) == ("NXDOMAIN", [])


def test_unreachable_upstream_is_said_quickly(world: World) -> None:
    began = time.monotonic()
    assert world.ask("known.example", who="offline") == ("SERVFAIL", [])
    assert world.ask("nobody", who="offline") == ("NXDOMAIN", [])
    assert world.ask("known.example", who="two") == ("SERVFAIL", [])
    assert time.monotonic() - began < 4


def test_container_may_have_its_own_server_at_port_53(world: World) -> None:
    with inside(world.hosts["one"].netns):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", 53))
        tcp = socket.create_server(("0.0.0.0", 53))
    with udp, tcp:
        udp.settimeout(1)
        for stream in (False, True):
            assert world.ask("db", tcp=stream) == ("NOERROR", ["10.77.1.4"])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"to the container's own", (world.hosts["one"].address, 53))
            assert udp.recv(100) == b"to the container's own"


def test_large_table_is_taken(world: World) -> None:
    names = {f"name-{number}": (f"10.77.9.{number % 250 + 1}",) for number in range(20_000)}

    async def work() -> None:
        client = await world.connected()
        await client.update(zones={"n1": Zone(name="shop_default", names=names)})
        await client.close()

    asyncio.run(work())
    assert world.ask("name-19999") == ("NOERROR", ["10.77.9.250"])
    assert world.ask("web") == ("NXDOMAIN", [])


def test_forget_closes_the_sockets(world: World) -> None:
    async def work() -> list[str]:
        client = await world.connected()
        await client.forget("one")
        await client.update(scopes={"one": None})
        served = list((await client.status())["served"])
        await client.close()
        return served

    assert asyncio.run(work()) == ["offline", "two"]


def test_queries_wait_while_the_resolver_restarts(world: World) -> None:
    """The process is killed; its successor gets the sockets and the table again; no query is lost."""

    async def work() -> None:
        client = await world.connected()
        answers: list[tuple[str, list[str]]] = []
        asking = threading.Thread(target=lambda: answers.append(world.ask("db")))
        world.process.end(signal.SIGKILL)
        asking.start()
        world.process = Process(world.run)
        for name, fds in world.sockets.items():
            await client.serve(name, *fds)
        await asyncio.to_thread(asking.join)
        assert answers == [("NOERROR", ["10.77.1.4"])]
        await client.close()

    asyncio.run(work())
