"""IPv6: addresses, names of gateways, isolation, masquerade, published ports, what is left afterwards."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest

from stackfile.kernel.namespace import inside
from stackfile.network import sysctl
from stackfile.network.publication import PortKey, Publication
from tests.integration.netlab import MACHINE6, OTHER, OTHER6, Host, Lab, laboratory, shell, state

pytestmark = pytest.mark.root

DROPS = "add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; }"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with laboratory() as made:
        yield made


@pytest.fixture(params=["0", "1"], ids=["bridge-nf-call-0", "bridge-nf-call-1"])
def bridged(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A machine whose other firewalls see bridged frames, or do not."""
    with laboratory() as made:
        with suppress(OSError):
            sysctl.write("bridge/bridge-nf-call-ip6tables", request.param)
        yield made


def six(host: Host) -> str:
    assert host.endpoint is not None
    return host.endpoint.ipv6


def publish(lab: Lab, *hosts: Host, host_ip: str = "", port: int = 8080, protocol: str = "tcp") -> None:
    backends = [(address, 80) for host in hosts for address in (host.address, six(host)) if address]
    lab.manager.publish([Publication(protocol, host_ip, port, tuple(backends))])


def test_who_reaches_what(bridged: Lab) -> None:
    lab = bridged
    first, second = lab.network(1, ipv6=True), lab.network(2, ipv6=True)
    internal = lab.network(3, ipv6=True, internal=True)
    other = lab.other_host()
    a1, a2, b1, i1 = (lab.container(n, k) for n, k in ((first, 2), (first, 3), (second, 2), (internal, 2)))
    publish(lab, a1)
    publish(lab, a1, host_ip=MACHINE6, port=8081)
    reaches = lab.reaches
    assert reaches(a1.netns, six(a2)) == a2.address
    assert reaches(lab.netns, six(i1)) == i1.address
    for source, target in ((b1, a1), (a1, b1), (a1, i1), (i1, a1)):
        assert not reaches(source.netns, six(target))
    assert lab.connect(a1.netns, OTHER6, 80) == (OTHER, MACHINE6)  # masqueraded
    assert not reaches(i1.netns, OTHER6)
    assert lab.connect(other.netns, MACHINE6, 8080) == (a1.address, OTHER6)
    assert lab.connect(other.netns, MACHINE6, 8081) == (a1.address, OTHER6)
    assert not reaches(other.netns, six(a1))
    assert not reaches(other.netns, six(i1))
    for address in (MACHINE6, first.gateways[1], second.gateways[1]):
        assert reaches(lab.netns, address, 8080) == a1.address
        for source in (a1, a2, b1):  # a1: to itself, by the machine
            assert reaches(source.netns, address, 8080) == a1.address
    assert not reaches(lab.netns, first.gateways[1], 8081)
    assert not reaches(i1.netns, internal.gateways[1], 8080)


def test_published_ports_share_and_refuse(lab: Lab) -> None:
    network = lab.network(1, ipv6=True)
    hosts = [lab.container(network, number) for number in (2, 3, 4)]
    gateway = network.gateways[1]
    for number in (1, 3, 2):
        publish(lab, *hosts[:number])
        found = Counter(lab.reaches(lab.netns, gateway, 8080) for _ in range(12))
        assert found == {host.address: 12 // number for host in hosts[:number]}
    again = lab.new_manager()
    assert again.published() == {
        PortKey("tcp", "", 8080): (*((h.address, 80) for h in hosts[:2]), *((six(h), 80) for h in hosts[:2]))
    }
    again.close()
    publish(lab, *hosts, host_ip=gateway)
    publish(lab, hosts[2], host_ip="::", port=8081)
    assert set(lab.manager.published()) == {
        PortKey("tcp", "", 8080), PortKey("tcp", gateway, 8080), PortKey("tcp", "::", 8081)
    }  # fmt: skip
    assert lab.reaches(lab.netns, gateway, 8081) == hosts[2].address
    assert not lab.reaches(lab.netns, "127.0.0.1", 8081)
    publish(lab)
    lab.manager.unpublish([PortKey("tcp", gateway, 8080)])
    assert lab.connect(lab.netns, gateway, 8080) == ("", "ConnectionRefusedError")
    lab.manager.unpublish(list(lab.manager.published()))
    assert lab.manager.published() == {}


def test_udp_client_follows_the_backend(lab: Lab) -> None:
    network = lab.network(1, ipv6=True)
    servers = []
    client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    client.settimeout(1)
    client.connect((network.gateways[1], 8080))
    for number in (2, 3):
        host = lab.container(network, number)
        with inside(host.netns):
            servers.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        servers[-1].bind(("::", 80))
        servers[-1].settimeout(1)
        publish(lab, host, protocol="udp")
        client.send(b"question")
        servers[-1].sendto(b"answer", servers[-1].recvfrom(100)[1])
        assert client.recv(100) == b"answer"
    for sock in (client, *servers):
        sock.close()


@pytest.mark.parametrize("wired", [False, True], ids=["made", "from the pool"])
def test_first_connection_is_quick(lab: Lab, wired: bool) -> None:
    """No question for hardware addresses goes out, none for duplicates; also for an address that is given again."""
    network = lab.network(1, ipv6=True)
    for _ in range(3):
        endpoint = lab.endpoint(network, 2)
        if wired:
            ready = lab.manager.wire()
            lab.manager.attach_wired("c", ready, network, endpoint, True)
            ready.route.close()
            host = Host(ready.netns, endpoint.ipv4, endpoint)
        else:
            host = Host(lab.manager.new_namespace(), endpoint.ipv4, endpoint)
            lab.manager.attach("c", host.netns, "eth0", network, endpoint, True)
        lab.hosts.append(host)
        host.serve(80)
        with socket.create_server((network.gateways[1], 99), family=socket.AF_INET6) as server:
            for source, family, address, port in (
                (host.netns, socket.AF_INET6, network.gateways[1], server.getsockname()[1]),
                (lab.netns, socket.AF_INET6, endpoint.ipv6, 80),
                (lab.netns, socket.AF_INET, endpoint.ipv4, 80),
            ):
                with inside(source):
                    client = socket.socket(family)
                start = time.perf_counter()
                client.connect((address, port))
                assert time.perf_counter() - start < 0.05  # a lost packet costs a second
                client.close()
        permanent = shell("ip neigh show nud permanent; ip -6 neigh show nud permanent")
        assert all(address in permanent for address in (endpoint.ipv4, endpoint.ipv6))
        lab.end(host)
        lab.manager.detach("c", network, None, endpoint)
        assert endpoint.ipv6 not in shell("ip -6 neigh show nud permanent")


def test_container_has_one_address_and_one_way_out(lab: Lab) -> None:
    network = lab.network(1, ipv6=True, driver_mtu="1400")
    host = lab.container(network, 2)
    second = lab.network(2, ipv6=True)
    lab.manager.attach("net1-2", host.netns, "eth1", second, lab.endpoint(second, 2), False)
    with inside(host.netns):
        assert shell("ip -6 -br addr show eth0").split()[2:] == ["fd77:0:0:1::2/64"]
        assert shell("ip -6 route show default").split()[2] == network.gateways[1]
        assert "mtu 1400" in shell("ip link show eth0")
        assert "mtu 1500" in shell("ip link show eth1")
    lab.manager.lead(host.netns, "eth1", second, lab.endpoint(second, 2), (4, 6))
    with inside(host.netns):
        assert shell("ip -6 route show default").split()[2] == second.gateways[1]
        assert shell("ip route show default").split()[2] == second.gateways[0]
    lab.manager.detach("net1-2", network, host.netns, host.endpoint)
    with inside(host.netns):
        assert "eth0" not in shell("ip -br link")


def test_nothing_is_left_after_removal(lab: Lab) -> None:
    lab.other_host()
    shell(f"nft '{DROPS}'")
    before = state()
    network = lab.network(1, ipv6=True)
    host = lab.container(network, 2)
    publish(lab, host)
    facts = lab.manager.facts(network)
    assert facts.complete
    assert set(facts.addresses) == {f"{network.gateways[0]}/24", f"{network.gateways[1]}/64"}
    assert lab.reaches(host.netns, OTHER6) == OTHER
    assert sysctl.read("ipv6/conf/up0/accept_ra") == "2"  # it would not listen to routers any more
    shell("nft flush set inet stackfile-test nets6")
    assert not lab.manager.facts(network).elements
    lab.manager.create(network)
    assert lab.manager.facts(network).complete
    lab.end(host)
    lab.manager.remove(network)
    assert state() == before
    assert lab.journal.entries() == []


def test_bridge_with_a_name_of_the_users(lab: Lab) -> None:
    network = lab.network(1, bridge_name="br-shop")
    assert network.interface == "br-shop"
    assert lab.container(network, 2).address == lab.reaches(lab.netns, "10.77.1.2")
    restarted = lab.new_manager()
    restarted.setup()
    assert "br-shop" in restarted.links()
    restarted.close()
    lab.manager.remove(network)
    assert not os.path.exists("/sys/class/net/br-shop") or "br-shop" not in shell("ip -br link")


def test_chosen_subnets_do_not_meet(lab: Lab) -> None:
    shell("ip link add x type bridge; ip addr add fd77::9/64 dev x; ip link set x up")
    assert lab.manager.choose_subnet(["fd77:0:0:1::/64"], 6) == ("fd77:0:0:2::/64", "fd77:0:0:2::1")
