"""Who reaches what: containers, the machine, another host."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from stackfile.kernel.namespace import inside
from stackfile.network import sysctl
from stackfile.network.publication import Publication
from tests.integration.netlab import MACHINE, OTHER, Host, Lab, laboratory, shell

pytestmark = pytest.mark.root


class World:
    """Two networks and an internal one; a1 is published at port 8080, and on 127.0.0.1 alone at 8081."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        first, second, internal = lab.network(1), lab.network(2), lab.network(3, internal=True)
        self.other = lab.other_host()
        self.a1, self.a2 = lab.container(first, 2), lab.container(first, 3)
        self.b1 = lab.container(second, 2)
        self.i1, self.i2 = lab.container(internal, 2), lab.container(internal, 3)
        lab.manager.publish(
            [
                Publication("tcp", "", 8080, ((self.a1.address, 80),)),
                Publication("tcp", "127.0.0.1", 8081, ((self.a1.address, 80),)),
                Publication("tcp", OTHER, 8082, ((self.a1.address, 80),)),
                Publication("tcp", "", 8083, ((self.i1.address, 80),)),
            ]
        )

    def reaches(self, source: Host | Lab, address: str, port: int = 80) -> str:
        return self.lab.reaches(source.netns, address, port)


@pytest.fixture(params=["0", "1"], ids=["bridge-nf-call-0", "bridge-nf-call-1"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with laboratory() as lab:
        with suppress(OSError):
            sysctl.write("bridge/bridge-nf-call-iptables", request.param)
        yield World(lab)


def test_containers_of_a_network_reach_each_other(world: World) -> None:
    assert world.reaches(world.a1, world.a2.address) == world.a2.address
    assert world.reaches(world.a2, world.a1.address) == world.a1.address
    assert world.reaches(world.i1, world.i2.address) == world.i2.address


def test_networks_are_isolated_from_each_other(world: World) -> None:
    assert not world.reaches(world.b1, world.a1.address)
    assert not world.reaches(world.a1, world.b1.address)
    assert not world.reaches(world.a1, world.i1.address)
    assert not world.reaches(world.i1, world.a1.address)


def test_machine_reaches_containers(world: World) -> None:
    for host in (world.a1, world.b1, world.i1):
        assert world.reaches(world.lab, host.address) == host.address


def test_machine_reaches_published_port_at_each_of_its_addresses(world: World) -> None:
    for address in ("127.0.0.1", "127.0.0.9", MACHINE, "10.77.1.1", "10.77.2.1"):
        assert world.reaches(world.lab, address, 8080) == world.a1.address, address
    assert world.reaches(world.lab, "127.0.0.1", 8081) == world.a1.address
    assert not world.reaches(world.lab, MACHINE, 8081)


def test_another_host_reaches_published_ports_only(world: World) -> None:
    assert world.lab.connect(world.other.netns, MACHINE, 8080) == (world.a1.address, OTHER)
    assert not world.reaches(world.other, MACHINE, 8081)
    assert not world.reaches(world.other, world.a1.address)
    assert not world.reaches(world.other, world.a1.address, 8080)


def test_another_host_does_not_reach_internal_network(world: World) -> None:
    assert not world.reaches(world.other, MACHINE, 8083)
    assert not world.reaches(world.other, world.i1.address)


def test_published_port_is_not_taken_from_foreign_addresses(world: World) -> None:
    assert world.reaches(world.a2, OTHER, 80) == OTHER
    assert not world.reaches(world.a2, OTHER, 8080)


def test_container_reaches_published_port_of_its_own_network(world: World) -> None:
    """Hairpin: through the machine's address back into the same network, even to itself."""
    for source in (world.a1, world.a2):
        for address in (MACHINE, "10.77.1.1"):
            assert world.reaches(source, address, 8080) == world.a1.address


def test_container_reaches_published_port_of_another_network(world: World) -> None:
    assert world.reaches(world.b1, MACHINE, 8080) == world.a1.address
    assert world.reaches(world.b1, "10.77.2.1", 8080) == world.a1.address
    assert not world.reaches(world.i1, "10.77.3.1", 8080)


def test_outbound_is_masqueraded_and_internal_stays_inside(world: World) -> None:
    assert world.lab.connect(world.a1.netns, OTHER, 80) == (OTHER, MACHINE)
    assert world.reaches(world.i1, OTHER) == ""


def test_container_does_not_reach_the_machines_loopback(world: World) -> None:
    """route_localnet is on for our bridges; whoever sends to 127.0.0.1 over them is dropped."""
    world.lab.hosts.append(Host(world.lab.manager.new_namespace(), "loopback"))
    loopback = world.lab.hosts[-1]
    loopback.servers[99] = socket.create_server(("127.0.0.1", 99))
    with inside(world.a1.netns):
        shell("ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1/32 via 10.77.1.1")
        sysctl.write("ipv4/conf/all/route_localnet", "1")
    assert not world.reaches(world.a1, "127.0.0.1", 99)
    assert not world.reaches(world.a1, "127.0.0.1", 8080)
