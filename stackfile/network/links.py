"""Bridges, and what the kernel says of links, addresses and routes.

Links and addresses are asked for at every plan: raw netlink answers for a hundred in 2 ms. All else goes through
pyroute2. Its synchronous calls run an event loop and so refuse to work in a thread that has one running, as the
daemon's has. They get a thread of their own. Sockets stay in the network namespace of the thread that used them first.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from stackfile.errors import KernelError
from stackfile.kernel.netlink import ROUTE, Message, NetlinkSocket
from stackfile.kernel.rtnetlink import (
    NEW_ADDRESS,
    NEW_LINK,
    address_of,
    all_addresses,
    all_links,
    get_link,
    link_index,
    link_row,
)
from stackfile.network import sysctl

_T = TypeVar("_T")
_NODAD = 0x02
"""IFA_F_NODAD: the address is ours at once; the detection of duplicates takes seconds."""


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
    """rtnetlink of one network namespace. Thread-safe."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._route: Any = None
        self._raw: NetlinkSocket | None = None
        self._lock = Lock()

    def close(self) -> None:
        with self._lock:
            if self._raw is not None:
                self._raw.close()
                self._raw = None
        if self._pool is not None:
            self._pool.submit(self._close).result()
            self._pool.shutdown()
            self._pool = None

    def all(self) -> list[Link]:
        """Every interface."""
        return [Link(*link_row(body)) for kind, body in self._ask(all_links()) if kind == NEW_LINK]

    def addresses(self, index: int = 0) -> list[str]:
        """Addresses with their prefix, `10.89.0.1/24`, of one interface or of all."""
        return [address for address, link in self.placed() if index in (0, link)]

    def placed(self) -> list[tuple[str, int]]:
        """(address with its prefix, index of its interface) of all interfaces."""
        return [address_of(body) for kind, body in self._ask(all_addresses()) if kind == NEW_ADDRESS]

    def routes(self) -> list[Route]:
        """IPv4 and IPv6 routes of all tables, without default routes."""
        return self._run(lambda route: [r for message in route.get_routes() if (r := _route(message))])

    def create_bridge(
        self, name: str, hardware: str, addresses: Sequence[str], *, mtu: int = 0, alias: str = ""
    ) -> None:
        """Make a bridge (or keep it) with this hardware address and these addresses, and set it up.

        Bridged frames are not shown to iptables on this bridge's account (nf_call_iptables 0).
        """
        self._run(lambda route: _make_bridge(route, name, hardware), f"bridge {name}")
        index = self._index(name)
        self._run(lambda route: _set_up(route, name, index, addresses, mtu, alias), f"bridge {name}")

    def delete(self, *names: str) -> None:
        """Delete interfaces; what does not exist is skipped. The kernel takes some 30 ms for each."""
        for name in names:
            if index := self._index(name):
                self._run(lambda route, index=index: _delete(route, index), f"delete {name}")  # type: ignore[misc]

    def _index(self, name: str) -> int:
        """0 where there is no such interface. Not pyroute2's link_lookup, which keeps an answer of each for ever."""
        found = self._ask(get_link(name))
        return link_index(found[0][1]) if found else 0

    def _ask(self, message: Message) -> list[tuple[int, bytes]]:
        with self._lock:
            if self._raw is None:
                self._raw = NetlinkSocket(ROUTE)
            return self._raw.query(message)

    def _run(self, work: Callable[[Any], _T], subject: str = "") -> _T:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "rtnetlink")
        try:
            return self._pool.submit(lambda: work(self._open())).result()
        except NetlinkError as error:
            raise KernelError(error.code, "rtnetlink", subject) from error

    def _open(self) -> Any:
        if self._route is None:
            self._route = IPRoute()
        return self._route

    def _close(self) -> None:
        if self._route is not None:
            self._route.close()
            self._route = None


def _route(message: Any) -> Route | None:
    destination = message.get_attr("RTA_DST")
    if destination is None or message["dst_len"] == 0:
        return None
    return Route(f"{destination}/{message['dst_len']}", message.get_attr("RTA_OIF") or 0)


def _make_bridge(route: Any, name: str, hardware: str) -> None:
    filters = {"br_nf_call_iptables": 0, "br_nf_call_ip6tables": 0, "br_nf_call_arptables": 0}
    try:
        route.link("add", ifname=name, kind="bridge", address=hardware, **filters)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise


def _set_up(route: Any, name: str, index: int, addresses: Sequence[str], mtu: int, alias: str) -> None:
    if alias:
        route.link("set", index=index, ifalias=alias)
    if mtu:
        route.link("set", index=index, mtu=mtu)
    for setting, value in (("addr_gen_mode", "1"), ("accept_ra", "0")):  # no IPv6 address that nobody gave it
        if sysctl.read(f"ipv6/conf/{name}/{setting}"):
            sysctl.write(f"ipv6/conf/{name}/{setting}", value)
    for address in addresses:
        _add_address(route, index, name, address)
    route.link("set", index=index, state="up")


def _add_address(route: Any, index: int, name: str, address: str) -> None:
    value, _, prefix = address.partition("/")
    extra: dict[str, Any] = {}
    if ":" in value:
        extra["flags"] = _NODAD
        if sysctl.read(f"ipv6/conf/{name}/disable_ipv6") == "1":
            sysctl.write(f"ipv6/conf/{name}/disable_ipv6", "0")
    try:
        route.addr("add", index=index, address=value, prefixlen=int(prefix), **extra)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise


def _delete(route: Any, index: int) -> None:
    try:
        route.link("del", index=index)
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise
