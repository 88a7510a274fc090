"""A laboratory for the network's integration tests: a machine, its containers and another host, as namespaces.

The test's thread itself moves into a fresh network namespace, which plays the machine; so the real machine's firewall,
settings and links stay out of it.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from stackfile.kernel.namespace import fresh, inside
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.network.journal import Intent
from stackfile.network.manager import NetworkManager

MACHINE, OTHER = "192.0.2.1", "192.0.2.2"
MACHINE6, OTHER6 = "fd00:2::1", "fd00:2::2"
"""Addresses of the machine and of the other host on the wire between them."""


class MemoryJournal:
    """The Journal protocol in memory."""

    def __init__(self) -> None:
        self.open: dict[int, Intent] = {}
        self._number = 0

    def begin(self, kind: str, key: str, data: Mapping[str, str]) -> int:
        self._number += 1
        self.open[self._number] = Intent(self._number, kind, key, data)
        return self._number

    def done(self, id: int) -> None:  # noqa: A002
        del self.open[id]

    def entries(self) -> Sequence[Intent]:
        return list(self.open.values())


class MemoryHolder:
    """What the supervisor does with descriptors, in this process."""

    def __init__(self) -> None:
        self.held: dict[str, list[int]] = {}

    def hold(self, key: str, fds: Sequence[int]) -> None:
        self.drop(key)
        self.held[key] = [os.dup(fd) for fd in fds]

    def fetch(self, key: str) -> list[int]:
        return [os.dup(fd) for fd in self.held.get(key, [])]

    def drop(self, prefix: str) -> None:
        for key in self.keys(prefix):
            for fd in self.held.pop(key):
                os.close(fd)

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self.held if not prefix or key == prefix or key.startswith(f"{prefix}/")]


@dataclass
class Host:
    """A namespace with an address: a container, or another host."""

    netns: int
    address: str
    endpoint: Endpoint | None = None
    servers: dict[int, socket.socket] = field(default_factory=dict)

    def serve(self, port: int, address: str = "::") -> None:
        """Listen on a TCP port, of both families unless the address says otherwise."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with inside(self.netns):
            self.servers[port] = socket.create_server((address, port), family=family, dualstack_ipv6=address == "::")

    def close(self) -> None:
        for server in self.servers.values():
            server.close()
        os.close(self.netns)


class Lab:
    """The machine with its engine's network manager."""

    def __init__(self, netns: int) -> None:
        self.netns = netns
        self.journal = MemoryJournal()
        self.holder = MemoryHolder()
        self.manager = self.new_manager()
        self.hosts: list[Host] = []

    def new_manager(self) -> NetworkManager:
        """A manager as a restarted daemon would have it: what it knows is in the kernel and the journal."""
        return NetworkManager(
            prefix="tst", table="stackfile-test", pool="10.77.0.0/16", pool6="fd77::/48",
            supervisor=self.holder, journal=self.journal,
        )  # fmt: skip

    def network(self, number: int, *, internal: bool = False, ipv6: bool = False, **options: str) -> NetworkRecord:
        """Network 10.77.<number>.0/24, and fd77:0:0:<number>::/64."""
        record = NetworkRecord(
            id=f"{number:02x}" * 32,
            name=f"net{number}",
            subnets=(f"10.77.{number}.0/24", f"fd77:0:0:{number}::/64")[: 1 + ipv6],
            gateways=(f"10.77.{number}.1", f"fd77:0:0:{number}::1")[: 1 + ipv6],
            internal=internal,
            enable_ipv6=ipv6,
            options={f"com.docker.network.{name.replace('_', '.')}": value for name, value in options.items()},
        )
        return self.manager.create(record)

    def container(self, network: NetworkRecord, number: int) -> Host:
        """A container at the network's address `number`, with a server at port 80."""
        endpoint = self.endpoint(network, number)
        host = Host(self.manager.new_namespace(), endpoint.ipv4, endpoint)
        self.hosts.append(host)
        self.manager.attach(f"{network.name}-{number}", host.netns, "eth0", network, endpoint, True)
        host.serve(80)
        return host

    def endpoint(self, network: NetworkRecord, number: int) -> Endpoint:
        gateway = network.gateways[0]
        gateway6 = network.gateways[1] if len(network.gateways) > 1 else ""
        return Endpoint(
            network=network.name,
            network_id=network.id,
            ipv4=f"{gateway.rpartition('.')[0]}.{number}",
            ipv4_prefix=24,
            gateway=gateway,
            ipv6=f"{gateway6.rpartition(':')[0]}:{number}" if gateway6 else "",
            ipv6_prefix=64 if gateway6 else 0,
            gateway6=gateway6,
        )

    def other_host(self) -> Host:
        """Another host on a wire to the machine; it has a route to our containers' addresses, through the machine."""
        fd = neighbour("10.77.0.0/16", "fd77::/48")
        host = Host(fd, OTHER)
        self.hosts.append(host)
        host.serve(80)
        return host

    def connect(self, source: int, address: str, port: int, timeout: float = 0.4) -> tuple[str, str]:
        """Connect from a namespace. (address of the host that got it, source address that it saw); ("", error)."""
        with inside(source):
            client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        client.settimeout(timeout)
        with client:
            try:
                client.connect((address, port))
            except OSError as error:
                return "", type(error).__name__
            servers = {server: host for host in self.hosts for server in host.servers.values()}
            ready = select.select(list(servers), [], [], timeout)[0]
            if not ready:
                return "", "nobody"
            connection, peer = ready[0].accept()
            connection.close()
            return servers[ready[0]].address, peer[0].removeprefix("::ffff:")

    def reaches(self, source: int, address: str, port: int = 80) -> str:
        """Address of the host that a connection ends at, "" for none."""
        return self.connect(source, address, port)[0]

    def end(self, host: Host) -> None:
        """A container ends: its namespace goes."""
        self.hosts.remove(host)
        host.close()

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        self.holder.drop("")
        self.manager.close()


def neighbour(pool: str, pool6: str) -> int:
    """A network namespace on a wire to the thread's one (MACHINE, OTHER), with routes to these subnets through it."""
    with fresh() as fd:
        shell("ip link set lo up; sysctl -qw net.ipv6.conf.default.addr_gen_mode=1")
    # Neither is asked for its hardware address: a wire that has just come up would lose the question.
    mine, yours = "02:00:00:00:00:01", "02:00:00:00:00:02"
    shell(f"ip link add up0 address {mine} type veth peer name eth0 address {yours} netns /proc/{os.getpid()}/fd/{fd}")
    shell(f"ip addr add {MACHINE}/24 dev up0; ip addr add {MACHINE6}/64 nodad dev up0; ip link set up0 up")
    shell(f"ip neigh add {OTHER6} lladdr {yours} dev up0; ip neigh add {OTHER} lladdr {yours} dev up0")
    with inside(fd):
        shell(f"ip addr add {OTHER}/24 dev eth0; ip addr add {OTHER6}/64 nodad dev eth0; ip link set eth0 up")
        shell(f"ip route add {pool} via {MACHINE}; ip route add {pool6} via {MACHINE6}")
        shell(f"ip neigh add {MACHINE6} lladdr {mine} dev eth0; ip neigh add {MACHINE} lladdr {mine} dev eth0")
    return fd


def shell(script: str) -> str:
    """Run a line of sh in the namespace that the thread is in; its output."""
    return subprocess.run(["sh", "-ec", script], check=True, capture_output=True, text=True).stdout


BUSYBOX_STACK = """
images:
  base:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - run: [busybox, mkdir, -p, /bin]
      - run: [busybox, --install, -s, /bin]
x-app: &app
  image: base
  command: [sleep, "1000"]
  stop_grace_period: 0s
"""
"""The beginning of stacks whose containers wait for questions: services are `<<: *app` and more."""


def state() -> str:
    """Links, rules and settings of this namespace: what must be the same before and after."""
    # Without the carrier (the second word): a wire that was just plugged in gets it a moment later.
    return shell(
        "ip -br link | cut -d' ' -f1 | sort; ip -br addr | awk '{$2 = \"\"; print}'; nft -s list ruleset;"
        "cat /proc/sys/net/ipv4/ip_forward;"
        "cat /proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/*/accept_ra"
    )


@contextmanager
def laboratory() -> Iterator[Lab]:
    """Run the block on a machine of its own."""
    with fresh() as netns:
        shell("ip link set lo up; sysctl -qw net.ipv6.conf.default.addr_gen_mode=1")
        lab = Lab(netns)
        try:
            yield lab
        finally:
            lab.close()
    os.close(netns)
