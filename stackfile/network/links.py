"""Bridges, and what the kernel says of links, addresses and routes."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from stackfile.kernel import rtnetlink
from stackfile.kernel.netlink import ROUTE, Message, NetlinkSocket
from stackfile.network import sysctl


@dataclass(frozen=True, slots=True)
class Link:
    """An interface. `master` is the index of the bridge it belongs to, 0 for none; `alias` what ip-link(8) shows."""

    index: int
    name: str
    kind: str
    master: int
    up: bool
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A destination that the machine knows, `10.0.0.0/8`, and the index of the interface towards it."""

    destination: str
    link: int


class Links:
    """rtnetlink of one network namespace: that of the thread that uses it first. Thread-safe."""

    def __init__(self) -> None:
        self._socket: NetlinkSocket | None = None
        self._lock = Lock()

    def close(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def all(self) -> list[Link]:
        """Every interface."""
        found = self._ask(rtnetlink.all_links())
        return [Link(*rtnetlink.link_row(body)) for kind, body in found if kind == rtnetlink.NEW_LINK]

    def addresses(self, index: int = 0) -> list[str]:
        """Addresses with their prefix, `10.89.0.1/24`, of one interface or of all."""
        return [address for address, link in self.placed() if index in (0, link)]

    def placed(self) -> list[tuple[str, int]]:
        """(address with its prefix, index of its interface) of all interfaces."""
        found = self._ask(rtnetlink.all_addresses())
        return [rtnetlink.address_of(body) for kind, body in found if kind == rtnetlink.NEW_ADDRESS]

    def routes(self) -> list[Route]:
        """IPv4 and IPv6 routes of all tables, without default routes."""
        found = [rtnetlink.route_row(body) for _, body in self._ask(rtnetlink.all_routes())]
        return [Route(*row) for row in found if row is not None]

    def create_bridge(
        self, name: str, hardware: str, addresses: Sequence[str], *, mtu: int = 0, alias: str = ""
    ) -> None:
        """Make a bridge (or keep it) with this hardware address and these addresses, and set it up.

        Bridged frames are not shown to iptables on this bridge's account (nf_call_iptables 0).
        """
        self._do(rtnetlink.bridge(name, hardware), ignore=errno.EEXIST)
        (answer,) = self._ask(rtnetlink.get_link(name))
        index = rtnetlink.link_index(answer[1])
        if alias or mtu:
            self._do(rtnetlink.link_properties(index, alias=alias, mtu=mtu))
        for setting, value in (("addr_gen_mode", "1"), ("accept_ra", "0")):  # no IPv6 address that nobody gave it
            if sysctl.read(f"ipv6/conf/{name}/{setting}"):
                sysctl.write(f"ipv6/conf/{name}/{setting}", value)
        for address in addresses:
            self._add_address(index, name, address)
        self._do(rtnetlink.link_up(index))

    def delete(self, *names: str) -> None:
        """Delete interfaces; what does not exist is skipped. The kernel takes some 30 ms for each."""
        for name in names:
            self._do(rtnetlink.delete_link(name), ignore=errno.ENODEV)

    def _add_address(self, index: int, name: str, address: str) -> None:
        value, _, prefix = address.partition("/")
        if ":" in value and sysctl.read(f"ipv6/conf/{name}/disable_ipv6") == "1":
            sysctl.write(f"ipv6/conf/{name}/disable_ipv6", "0")
        self._do(rtnetlink.address(index, value, int(prefix)))

    def _ask(self, message: Message) -> list[tuple[int, bytes]]:
        with self._lock:
            return self._open().query(message)

    def _do(self, message: Message, *, ignore: int = 0) -> None:
        with self._lock:
            self._open().transact([message], ignore=frozenset({ignore}))

    def _open(self) -> NetlinkSocket:
        if self._socket is None:
            self._socket = NetlinkSocket(ROUTE)
        return self._socket
