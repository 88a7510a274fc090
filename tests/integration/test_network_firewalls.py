"""Who reaches what, through the whole engine, behind each kind of firewall and of bridge: one table of questions.

The engine runs in a network namespace that plays a machine, another host hangs on a wire to it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stackfile import api
from stackfile.api.client import Client
from stackfile.errors import ActionError
from stackfile.kernel.namespace import fresh, inside
from stackfile.model.container import ContainerSpec
from stackfile.model.stack import Port
from stackfile.network import sysctl
from tests import leaks
from tests.conftest import Box, own_settings
from tests.integration.netlab import BUSYBOX_STACK, MACHINE, MACHINE6, OTHER, OTHER6, neighbour, shell, state
from tests.integration.netprobe import Question, Service, ask, seen, serving

pytestmark = pytest.mark.root

STACK = (
    BUSYBOX_STACK
    + """services:
  web:
    <<: *app
    networks: [front]
    ports:
      - "8080:80"
      - "8080:80/udp"
      - "127.0.0.1:8081:80"
      - "192.0.2.1:8082:80"
      - "[::1]:8083:80"
      - "[fd00:2::1]:8084:80"
      - "8053:53"
      - "8053:53/udp"
  peer: {<<: *app, networks: [front]}
  sly: {<<: *app, networks: [front]}
  far: {<<: *app, networks: [back]}
  inner: {<<: *app, networks: [inside], ports: ["8090:80"]}
  twin: {<<: *app, networks: [inside]}
  alone: {<<: *app, networks: [nothing]}
  hosted: {<<: *app, networks: [machine]}
  shared: {<<: *app, network_mode: host}
networks:
  front: {enable_ipv6: true}
  back: {enable_ipv6: true, driver_opts: {com.docker.network.driver.mtu: "1400"}}
  inside: {enable_ipv6: true, internal: true}
  machine: {external: true, name: host}
  nothing: {external: true, name: none}
"""
)

DOCKER = """
table ip filter {
  chain FORWARD { type filter hook forward priority 0; policy drop; counter jump DOCKER-USER; }
  chain DOCKER-USER { ip saddr 198.51.100.7 drop; counter return; }
}
table ip6 filter {
  chain FORWARD { type filter hook forward priority 0; policy drop; counter jump DOCKER-USER; }
  chain DOCKER-USER { counter return; }
}
"""
# The chains of ufw with `deny` for what comes in and `reject` for what passes: the end is in a chain of its own.
UFW = "".join(
    f"""
table {family} filter {{
  chain INPUT {{
    type filter hook input priority 0; policy drop;
    iifname lo accept; ct state established,related accept; meta l4proto {icmp} accept;
  }}
  chain FORWARD {{
    type filter hook forward priority 0; policy drop;
    counter jump before-forward; counter jump reject-forward; counter jump track-forward;
  }}
  chain before-forward {{ ct state established,related counter accept; meta l4proto {icmp} counter accept; }}
  chain reject-forward {{ counter reject; }}
  chain track-forward {{ }}
}}
"""
    for family, icmp in (("ip", "icmp"), ("ip6", "ipv6-icmp"))
)
FIREWALLD = """
table inet firewalld {
  chain mangle_PREROUTING { type filter hook prerouting priority -140; policy accept; jump mangle_PREROUTING_ZONES; }
  chain mangle_PREROUTING_ZONES { }
  chain filter_PREROUTING {
    type filter hook prerouting priority 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept;
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop;
  }
  chain filter_INPUT {
    type filter hook input priority 10; policy accept;
    ct state { established, related } accept; ct status dnat accept; iifname lo accept; ct state invalid drop;
    meta l4proto { icmp, ipv6-icmp } accept;
    reject with icmpx admin-prohibited;
  }
  chain filter_FORWARD {
    type filter hook forward priority 10; policy accept;
    ct state { established, related } accept; ct status dnat accept; iifname lo accept; ct state invalid drop;
    ip6 daddr { ::/96, ::ffff:0.0.0.0/96 } reject with icmpv6 addr-unreachable;
    jump filter_FORWARD_ZONES;
    reject with icmpx admin-prohibited;
  }
  chain filter_FORWARD_ZONES { goto filter_FWD_public; }
  chain filter_FWD_public { }
}
"""
LEGACY = "; ".join(
    f"{program} -N DOCKER-USER; {program} -A DOCKER-USER -j RETURN; {program} -A FORWARD -j DOCKER-USER;"
    f"{program} -P FORWARD DROP"
    for program in ("iptables-legacy", "ip6tables-legacy")
)
NO_LEGACY = "; ".join(
    f"{program} -P FORWARD ACCEPT; {program} -F; {program} -X" for program in ("iptables-legacy", "ip6tables-legacy")
)


def _nft(rules: str) -> str:
    return f"nft -f - <<'END'\n{rules}\nEND"


FLAVOURS = {
    "none": ("true", "true"),
    "docker": (_nft(DOCKER), "nft delete table ip filter; nft delete table ip6 filter"),
    "ufw": (_nft(UFW), "nft delete table ip filter; nft delete table ip6 filter"),
    "firewalld": (_nft(FIREWALLD), "nft delete table inet firewalld"),
    "legacy": (LEGACY, NO_LEGACY),
}
"""How a firewall comes and how it goes."""
CLOSED = ("ufw", "firewalld")
"""Those that let in nothing that was not asked for."""

INSIDE = ("web", "peer", "sly", "far", "inner", "twin")
SERVICES = (
    *(Service(place, "tcp", "::", 80) for place in (*INSIDE, "neighbour")),
    *(Service(place, "udp", "::", 80) for place in (*INSIDE, "neighbour")),
    # The container's own DNS server.
    Service("web", "tcp", "0.0.0.0", 53),
    Service("web", "udp", "0.0.0.0", 53),
    *(Service("machine", protocol, address, 9000) for protocol in ("tcp", "udp") for address in ("127.0.0.1", "::1")),
    # Of a port that is published on the loopback address alone, the other addresses are anybody's.
    Service("machine", "tcp", MACHINE, 8081),
)


@dataclass
class World:
    """The machine with its running stack; `places` are network namespaces by name."""

    box: Box
    client: Client
    before: str
    places: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, tuple[str, str]] = field(default_factory=dict)
    gateways: dict[str, tuple[str, str]] = field(default_factory=dict)

    def look(self) -> None:
        """Find the containers."""
        networks = {network.id: network for network in self.client.networks()}
        for record in self.client.containers("shop"):
            name = record.spec.labels["com.docker.compose.service"]
            self.places[name] = os.open(f"/proc/{record.state.pid}/ns/net", os.O_RDONLY)
            for endpoint in record.endpoints:
                self.addresses[name] = (endpoint.ipv4, endpoint.ipv6)
                first, second = networks[endpoint.network_id].gateways
                self.gateways[name] = (first, second)

    def table(self, closed: bool) -> list[Question]:
        """(from, to, expected) as questions; `closed`: the machine's firewall keeps its own services from others."""
        rows: list[Question] = []

        def to(sources: str, addresses: tuple[str, ...] | list[str], port: int, answer: str, *protocols: str) -> None:
            for protocol in protocols or ("tcp",):
                for source in sources.split():
                    rows.extend(Question(source, protocol, address, port, answer) for address in addresses)

        both, four, six = (MACHINE, MACHINE6), (MACHINE,), (MACHINE6,)
        web, gateways = self.addresses["web"], self.gateways
        # A port of every address: the machine, another host, the container itself, its neighbours, another network.
        to("machine", ("127.0.0.1", "127.0.0.9", "::1", *both, *gateways["web"]), 8080, "web", "tcp", "udp")
        to("neighbour hosted shared web peer far", both, 8080, "web", "tcp", "udp")
        to("web peer", gateways["web"], 8080, "web", "tcp", "udp")
        to("far", gateways["far"], 8080, "web", "tcp", "udp")
        to("inner twin", (*both, *gateways["inner"]), 8080, "", "tcp", "udp")
        # One of the loopback address, of one address of the machine, of [::1], of one IPv6 address.
        to("machine hosted", ("127.0.0.1",), 8081, "web")
        to("machine", four, 8081, "machine")
        to("neighbour peer far", four, 8081, "" if closed else "machine")
        to("web peer far", (MACHINE6, *gateways["web"]), 8081, "")
        to("machine neighbour web peer far", four, 8082, "web")
        to("machine", ("127.0.0.1", "::1", MACHINE6, *gateways["web"]), 8082, "")
        to("neighbour peer", six, 8082, "")
        to("machine", ("::1",), 8083, "web")
        to("machine neighbour peer far", both, 8083, "")
        to("machine neighbour web peer far", six, 8084, "web")
        to("machine neighbour peer", four, 8084, "")
        # The container's own DNS server.
        to("machine neighbour web peer far", four, 8053, "web", "tcp", "udp")
        to("peer sly", web[:1], 53, "web", "tcp", "udp")
        # Directly: within a network alone.
        to("web sly", self.addresses["peer"], 80, "peer", "tcp", "udp")
        to("machine peer", web, 80, "web", "tcp", "udp")
        to("inner machine", self.addresses["twin"], 80, "twin", "tcp", "udp")
        to("neighbour far inner", web, 80, "", "tcp", "udp")
        to("neighbour", web, 8080, "")
        to("neighbour web far", self.addresses["inner"], 80, "", "tcp", "udp")
        to("web inner neighbour", self.addresses["far"], 80, "")
        # A port of an internal network is not the world's.
        to("neighbour web far", both, 8090, "")
        # What listens on the machine's loopback address is nobody else's.
        to("machine hosted", ("127.0.0.1", "::1"), 9000, "machine", "tcp", "udp")
        to("neighbour web far", both, 9000, "", "tcp", "udp")
        to("web inner", gateways["web"] + gateways["inner"], 9000, "")
        for source in ("sly", "outlaw"):
            to(source, ("127.0.0.1",), 9000, "", "tcp", "udp")
            to(source, ("127.0.0.1",), 8080, "")
            to(source, ("127.0.0.1",), 8081, "")
        # Out into the world.
        to("machine hosted web far", (OTHER, OTHER6), 80, "neighbour", "tcp", "udp")
        to("inner twin", (OTHER, OTHER6), 80, "", "tcp", "udp")
        to("alone", (*both, *web, OTHER), 80, "")
        return rows

    async def check(self, closed: bool) -> list[str]:
        async with serving(self.places, SERVICES):
            wrong = await ask(self.places, self.table(closed))
            if wrong:
                return wrong
            for source, address, expected in (
                ("web", OTHER, MACHINE), ("web", OTHER6, MACHINE6), ("peer", self.addresses["web"][0], ""),
            ):  # fmt: skip
                answer = "web" if source == "peer" else "neighbour"
                found = await seen(self.places, Question(source, "tcp", address, 80, answer))
                if found != (expected or self.addresses[source][0]):
                    wrong.append(f"{source} is seen as {found} at {address}")
            question = Question("neighbour", "tcp", MACHINE, 8080, "web")
            if (found := await seen(self.places, question)) != OTHER:
                wrong.append(f"another host is seen as {found}")
            lookup = asyncio.create_subprocess_exec(
                "nsenter", f"--net=/proc/self/fd/{self.places['web']}", "busybox", "nslookup", "peer", "127.0.0.11",
                pass_fds=[self.places["web"]], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            process = await lookup
            output = (await process.communicate())[0].decode()
            if self.addresses["peer"][0] not in output:
                wrong.append(f"web, with a server of its own at port 53, does not find peer: {output}")
        return wrong


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The stack runs; sly and outlaw have routes by which 127.0.0.1 is the machine's."""
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    (directory / "work").mkdir()
    box = Box(own_settings(directory), directory / "work")
    with ExitStack() as stack, fresh() as machine:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        shell("ip link set lo up; sysctl -qw net.ipv6.conf.default.addr_gen_mode=1")
        outside = neighbour(box.settings.address_pool, box.settings.address_pool6)
        outlaw = neighbour_of(machine)
        before = state()
        try:
            box.stack("name: shop\n" + STACK)
            box.run("up", "-d")
            client = stack.enter_context(api.connect(environ=box.settings.environment()))
            made = World(box, client, before, {"machine": machine, "neighbour": outside, "outlaw": outlaw})
            made.look()
            mislead(made.places["sly"], made.gateways["sly"][0])
            mislead(outlaw, "203.0.113.1")
            yield made
            box.run("down", "-v")
            box.close()
            deadline = time.monotonic() + 10
            while state() != before and time.monotonic() < deadline:
                time.sleep(0.05)  # the kernel takes namespaces apart later
            assert state() == before
        finally:
            for pid in reversed(leaks.descendants([box.supervisor] if box.supervisor else [])):
                os.kill(pid, 9)


def neighbour_of(machine: int) -> int:
    """Another host, which will do what it should not."""
    with fresh() as fd:
        shell("ip link set lo up")
    with inside(machine):
        shell(f"ip link add up1 type veth peer name eth0 netns /proc/{os.getpid()}/fd/{fd}")
        shell("ip addr add 203.0.113.1/24 dev up1; ip link set up1 up")
    with inside(fd):
        shell("ip addr add 203.0.113.2/24 dev eth0; ip link set eth0 up")
    return fd


def mislead(netns: int, gateway: str) -> None:
    """Send packets for 127.0.0.1 out of the namespace, to the machine."""
    with inside(netns):
        shell(f"ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via {gateway}")
        sysctl.write("ipv4/conf/all/route_localnet", "1")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_who_reaches_what(world: World, flavour: str) -> None:
    load, unload = FLAVOURS[flavour]
    if flavour == "legacy" and subprocess.run(["sh", "-ec", "iptables-legacy -S"], capture_output=True).returncode:
        pytest.skip("this machine has no iptables-legacy")
    shell(load)
    if flavour == "legacy":  # of which the kernel does not tell; the engine sees the others come, and mends
        world.box.run("up", "-d")
    try:
        wrong: list[str] = []
        for calls in ("1", "0"):
            for name in ("iptables", "ip6tables"):
                if os.path.exists("/proc/sys/net/bridge"):
                    sysctl.write(f"bridge/bridge-nf-call-{name}", calls)
            wrong += [f"bridge-nf-call {calls}: {line}" for line in asyncio.run(world.check(flavour in CLOSED))]
        assert (flavour == "none") == ("no other table drops forwarded packets" in told(world))
    finally:
        shell(unload)
    assert not wrong, "\n".join(wrong)


def told(world: World) -> list[str]:
    """What the doctor says of others' drops, once it finds nothing to mend."""
    deadline = time.monotonic() + 20
    while True:
        rows = [row for row in world.client.doctor() if row.check == "forward drop"]
        if all(row.status == "ok" for row in rows):
            return [row.found for row in rows]
        assert time.monotonic() < deadline, rows
        time.sleep(0.1)


def test_ruleset_that_is_loaded_anew(world: World) -> None:
    """`nft -f` with `flush ruleset`, as a restart of nftables.service: our table goes with all others, and is back."""
    shell(_nft("flush ruleset\n" + UFW))
    try:
        deadline = time.monotonic() + 20
        while "accept_rules" in (found := world.box.run("drift").stdout) or "elements" in found:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert not (wrong := asyncio.run(world.check(True))), "\n".join(wrong)
    finally:
        shell(FLAVOURS["ufw"][1])


def listener(protocol: str, address: str, port: int) -> socket.socket:
    """A service of the machine; `::` is both families."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    try:
        if protocol == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
        sock.bind((address, port))
        if protocol == "tcp":
            sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ports_and_services_of_the_machine(world: World, protocol: str) -> None:
    """Who comes first has the port, a container or a service of the machine; at other addresses both can."""
    image = next(record.spec.image for record in world.client.containers("shop"))

    def publish(host_ip: str, port: int) -> None:
        asked = (Port(target=80, published=port, host_ip=host_ip, protocol=protocol),)
        identity = world.client.create(ContainerSpec(image=image, command=("true",), ports=asked, name="late"))
        try:
            world.client.start(identity)
        finally:
            world.client.remove(identity, force=True)

    for service, taken, others in (
        ("127.0.0.1", ("", "127.0.0.1", "0.0.0.0"), (MACHINE, "::", MACHINE6)),
        ("0.0.0.0", ("", "127.0.0.1", MACHINE), ("::", "::1")),
        (MACHINE6, ("", "::", MACHINE6), ("127.0.0.1", "::1")),
        ("::", ("", "::1", "127.0.0.1", MACHINE, MACHINE6), ()),
    ):
        with closing(listener(protocol, service, 7000)):
            for host_ip in taken:
                with pytest.raises(ActionError) as caught:
                    publish(host_ip, 7000)
                assert caught.value.reason == "port-taken", (service, host_ip)
                assert f"pid {os.getpid()}" in str(caught.value)
            for host_ip in others:
                publish(host_ip, 7000)
    for address in ("0.0.0.0", "::", "127.0.0.1", "127.0.0.9", MACHINE, "::1", MACHINE6):
        assert not free(protocol, address, 8080), address
    if protocol == "tcp":
        for address, port, has_room in (
            ("0.0.0.0", 8081, False), ("127.0.0.1", 8081, False), (MACHINE, 8081, True), ("::1", 8081, True),
            (MACHINE, 8082, False), ("127.0.0.1", 8082, True), ("::", 8083, False), ("::1", 8083, False),
        ):  # fmt: skip
            assert free(protocol, address, port) == has_room, (address, port)


def free(protocol: str, address: str, port: int) -> bool:
    """Whether a service that starts now gets the port."""
    try:
        listener(protocol, address, port).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
