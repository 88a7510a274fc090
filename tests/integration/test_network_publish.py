"""Published ports: sharing, replacing, refusing, reserving."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest

from stackfile.errors import ActionError
from stackfile.kernel.namespace import inside
from stackfile.network.publication import PortKey, Publication
from tests.integration.netlab import MACHINE, Host, Lab, laboratory, shell

pytestmark = pytest.mark.root


@pytest.fixture
def lab() -> Iterator[Lab]:
    with laboratory() as made:
        yield made


@pytest.fixture
def replicas(lab: Lab) -> list[Host]:
    network = lab.network(1)
    return [lab.container(network, number) for number in (2, 3, 4)]


def publish(lab: Lab, *hosts: Host, host_ip: str = "", protocol: str = "tcp") -> None:
    lab.manager.publish([Publication(protocol, host_ip, 8080, tuple((host.address, 80) for host in hosts))])


def spread(lab: Lab, count: int = 12, address: str = "127.0.0.1") -> Counter[str]:
    return Counter(lab.reaches(lab.netns, address, 8080) for _ in range(count))


@pytest.mark.parametrize("host_ip", ["", "127.0.0.1"])
def test_connections_are_spread_evenly(lab: Lab, replicas: list[Host], host_ip: str) -> None:
    for number in (1, 2, 3, 2, 1, 3):
        publish(lab, *replicas[:number], host_ip=host_ip)
        assert spread(lab) == {host.address: 12 // number for host in replicas[:number]}


def test_no_backend_is_refused(lab: Lab, replicas: list[Host]) -> None:
    other = lab.other_host()
    publish(lab)
    assert lab.connect(lab.netns, "127.0.0.1", 8080) == ("", "ConnectionRefusedError")
    assert lab.connect(other.netns, MACHINE, 8080) == ("", "ConnectionRefusedError")
    publish(lab, replicas[2])
    assert spread(lab) == {replicas[2].address: 12}
    publish(lab)
    assert lab.connect(lab.netns, "127.0.0.1", 8080) == ("", "ConnectionRefusedError")


def test_host_address_goes_before_every_address(lab: Lab, replicas: list[Host]) -> None:
    publish(lab, replicas[0])
    publish(lab, replicas[1], replicas[2], host_ip="10.77.1.1")
    assert spread(lab) == {replicas[0].address: 12}
    assert spread(lab, address="10.77.1.1") == {replicas[1].address: 6, replicas[2].address: 6}


def test_published_is_read_from_the_kernel(lab: Lab, replicas: list[Host]) -> None:
    publish(lab, *replicas)
    publish(lab, replicas[1], host_ip="127.0.0.1")
    publish(lab, host_ip="127.0.0.2")
    fresh = lab.new_manager()
    assert fresh.published() == {
        PortKey("tcp", "", 8080): tuple((host.address, 80) for host in replicas),
        PortKey("tcp", "127.0.0.1", 8080): ((replicas[1].address, 80),),
        PortKey("tcp", "127.0.0.2", 8080): (),
    }
    fresh.unpublish([*fresh.published(), PortKey("tcp", "", 9999)])
    assert fresh.published() == {}
    assert "8080" not in shell("nft list table inet stackfile-test")
    fresh.close()


def test_stale_knowledge_is_corrected(lab: Lab, replicas: list[Host]) -> None:
    """Two managers change the same port: what one remembers of it is wrong, and it looks again."""
    publish(lab, *replicas)
    other = lab.new_manager()
    other.publish([Publication("tcp", "", 8080, ((replicas[0].address, 80),))])
    publish(lab, replicas[1], replicas[2])
    assert spread(lab) == {replicas[1].address: 6, replicas[2].address: 6}
    other.unpublish([PortKey("tcp", "", 8080)])
    other.close()
    publish(lab, replicas[0])
    assert spread(lab) == {replicas[0].address: 12}


def test_connection_outlives_the_change_of_backends(lab: Lab, replicas: list[Host]) -> None:
    publish(lab, replicas[0])
    client = socket.create_connection(("127.0.0.1", 8080))
    connection, _ = replicas[0].servers[80].accept()
    publish(lab, replicas[1], replicas[2])
    client.sendall(b"still here")
    assert connection.recv(100) == b"still here"
    client.close()
    connection.close()


def ask(client: socket.socket) -> bytes:
    """The answer to a question that is asked again and again."""
    for _ in range(20):
        client.send(b"question")
        with suppress(TimeoutError):
            return client.recv(100)
    return b""


def heard(client: socket.socket, server: socket.socket) -> tuple[str, int]:
    """The address from which the server gets the client's question; a thread may take a moment to lead it there."""
    server.settimeout(0.1)
    for _ in range(20):
        client.send(b"question")
        with suppress(TimeoutError):
            peer: tuple[str, int] = server.recvfrom(100)[1]
            return peer
    raise AssertionError("the server hears nothing")


@pytest.mark.parametrize("many", [False, True], ids=["at once", "in a thread"])
def test_udp_client_follows_the_backend(
    lab: Lab, replicas: list[Host], many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if many:
        monkeypatch.setattr("stackfile.network.manager._MANY", -1)
    servers = []
    for host in replicas[:2]:
        with inside(host.netns):
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("0.0.0.0", 80))
        server.settimeout(1)
        servers.append(server)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", 8080))
    for server, host in zip(servers, replicas, strict=False):
        publish(lab, host, protocol="udp")
        peer = heard(client, server)
        server.sendto(b"answer", peer)
        assert client.recv(100) == b"answer"
    publish(lab, protocol="udp")
    client.settimeout(0.1)
    with pytest.raises(ConnectionRefusedError):
        ask(client)
    for sock in (client, *servers):
        sock.close()


def test_reservation_keeps_the_port(lab: Lab, replicas: list[Host]) -> None:
    assert lab.manager.reserve("shop/web", "tcp", "", 8080) == 8080
    assert lab.manager.reserve("shop/web", "tcp", "0.0.0.0", 8080) == 8080
    publish(lab, replicas[0])
    assert spread(lab) == {replicas[0].address: 12}
    for address in ("0.0.0.0", "127.0.0.1"):
        with pytest.raises(OSError, match="in use"):
            socket.create_server((address, 8080))
    lab.manager.unreserve("shop/web", "tcp", "", 8080)
    socket.create_server(("0.0.0.0", 8080)).close()


def test_port_taken_names_the_process(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 8080)), pytest.raises(ActionError) as caught:
        lab.manager.reserve("shop/web", "tcp", "", 8080)
    assert caught.value.reason == "port-taken"
    assert "pid" in caught.value.cause
    assert lab.manager.reserve("shop/web", "tcp", "", 8080) == 8080


def test_port_taken_names_the_service(lab: Lab) -> None:
    lab.manager.reserve("shop/web", "tcp", "", 8080)
    for host_ip in ("", "127.0.0.1"):
        with pytest.raises(ActionError) as caught:
            lab.manager.reserve("blog/web", "tcp", host_ip, 8080)
        assert caught.value.reason == "port-taken"
        assert "shop/web" in caught.value.cause
    lab.manager.unreserve("shop/web")
    assert lab.manager.reserve("blog/web", "tcp", "", 8080) == 8080
    assert lab.manager.reservations() == [("blog/web", PortKey("tcp", "", 8080))]


def test_port_zero_chooses_a_free_one(lab: Lab) -> None:
    first, second = (lab.manager.reserve("shop/web", "tcp", "", 0) for _ in range(2))
    assert first != second
    assert all(32768 <= port <= 60999 for port in (first, second))
    assert {key.host_port for _, key in lab.manager.reservations()} == {first, second}


def test_many_ports_in_one_transaction(lab: Lab, replicas: list[Host]) -> None:
    entries = [Publication("tcp", "", 20000 + n, ((replicas[n % 3].address, 80),)) for n in range(1000)]
    lab.manager.publish(entries)
    assert lab.reaches(lab.netns, "127.0.0.1", 20999) == replicas[0].address
    assert len(lab.manager.published()) == 1000
    lab.manager.unpublish([entry.key for entry in entries])
    assert lab.manager.published() == {}
