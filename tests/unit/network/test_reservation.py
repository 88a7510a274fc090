"""Reservation of ports with bound sockets (real ones, on loopback)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence

import pytest

from stackfile.errors import ActionError
from stackfile.network.publication import PortKey
from stackfile.network.reservation import Reservations


class Holder:
    def __init__(self) -> None:
        self.held: dict[str, list[int]] = {}

    def hold(self, key: str, fds: Sequence[int]) -> None:
        self.held[key] = [os.dup(fd) for fd in fds]

    def fetch(self, key: str) -> list[int]:
        return [os.dup(fd) for fd in self.held.get(key, [])]

    def drop(self, prefix: str) -> None:
        for key in self.keys(prefix):
            for fd in self.held.pop(key):
                os.close(fd)

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self.held if not prefix or key == prefix or key.startswith(f"{prefix}/")]


@pytest.fixture
def reservations() -> Iterator[Reservations]:
    holder = Holder()
    yield Reservations(holder)
    holder.drop("")


ANY = PortKey("tcp", "127.0.0.1", 0)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_reserved_port_cannot_be_bound(reservations: Reservations, protocol: str) -> None:
    port = reservations.reserve("shop/web", PortKey(protocol, "127.0.0.1", 0))
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        if protocol == "tcp":
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        reservations.release("shop/web")
        other.bind(("127.0.0.1", port))


def test_repeating_is_the_same_reservation(reservations: Reservations) -> None:
    port = reservations.reserve("shop/web", ANY)
    key = PortKey("tcp", "127.0.0.1", port)
    assert reservations.reserve("shop/web", key) == port
    assert reservations.all() == [("shop/web", key)]


def test_time_wait_is_no_obstacle(reservations: Reservations) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        connection, _ = server.accept()
        connection.close()  # the server's side closes first, and so waits
        client.close()
    assert reservations.reserve("shop/web", PortKey("tcp", "127.0.0.1", port)) == port


def test_one_port_of_many_is_released(reservations: Reservations) -> None:
    first, second = reservations.reserve("shop/web", ANY), reservations.reserve("shop/web", ANY)
    reservations.release("shop/web", PortKey("tcp", "127.0.0.1", first))
    assert [key.host_port for _, key in reservations.all()] == [second]


def test_foreign_address_is_no_address_of_this_machine(reservations: Reservations) -> None:
    with pytest.raises(ActionError) as caught:
        reservations.reserve("shop/web", PortKey("tcp", "192.0.2.77", 8080))
    assert caught.value.reason == "action-failed"
    assert "192.0.2.77" in caught.value.cause
