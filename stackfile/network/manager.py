"""The facade: networks, attachments, published ports of one engine."""

from __future__ import annotations

import errno
import re
import socket
import threading
import time
from collections.abc import Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from stackfile.errors import ActionError, ConflictError, KernelError
from stackfile.kernel import conntrack
from stackfile.kernel import nftables as nft
from stackfile.kernel.netlink import ROUTE, NetlinkSocket
from stackfile.kernel.nftables import Nftables
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.network import attachment, dns, forwarding, legacy, options, port, strays, subnets, sysctl, table
from stackfile.network.attachment import Wired
from stackfile.network.beside import Beside
from stackfile.network.facts import NetworkFacts
from stackfile.network.journal import Intent, Journal, data_of
from stackfile.network.links import Link, Links
from stackfile.network.port import PortFacts
from stackfile.network.publication import PortKey, Publication
from stackfile.network.publisher import Publisher
from stackfile.network.reservation import Holder, Reservations
from stackfile.network.strays import Stray
from stackfile.network.watch import RuleWatch

_RACE = 0.25
"""Seconds for which a younger bridge of the same subnet may still give way."""
_CREATE, _REMOVE = "network.create", "network.remove"
_MANY = 2000
"""Tracked connections above which forgetting some is left to a thread (7 µs each)."""


class NetworkManager:
    """Everything in the kernel's network that belongs to one engine.

    Synchronous and thread-safe: a call takes from 0.1 to a few ms, removing a network 30 (better in a thread). It works
    on the network namespace in which it was made. Every operation is idempotent in both directions.
    """

    def __init__(
        self, *, prefix: str, table: str, pool: str, supervisor: Holder, journal: Journal, pool6: str = ""
    ) -> None:
        """`prefix` of interface names, `table` of nftables, `pool` and `pool6` of subnets; see settings.py."""
        self._prefix = prefix
        self._table = table
        self._pools = {4: pool, 6: pool6}
        self._journal = journal
        self._own = re.compile(rf"{re.escape(prefix)}(?:[0-9a-f]{{10}}|v[0-9a-f]{{9}})")
        self._lock = threading.RLock()
        self._links = Links()
        self._route = NetlinkSocket(ROUTE)
        self._nft = Nftables()
        self._beside = Beside(self._nft, table)
        self._publisher = Publisher(self._nft, table)
        self._reservations = Reservations(supervisor)
        self._addresses: dict[tuple[str, str], tuple[str, str]] = {}
        self._flusher: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Close our sockets; nothing in the kernel changes."""
        if self._flusher is not None:
            self._flusher.shutdown()
        self._links.close()
        self._route.close()
        self._nft.close()

    # ---- the engine as a whole

    def setup(self) -> None:
        """Settle what a killed process left half done. Call once at start, before anything else.

        The table, forwarding and the rules beside other firewalls come with the first network and go with the last.
        """
        with self._lock:
            self.undo()
            if not self._bridges():
                self._withdraw_all()

    def undo(self, keep: Container[str] = ()) -> None:
        """Take away networks whose making or removal was begun and not recorded as done, but for those in `keep`."""
        with self._lock:
            for intent in self._open():
                if intent.key not in keep:
                    self._remove(intent.network())
                    self._journal.done(intent.id)

    def teardown(self) -> None:
        """Remove all of ours: bridges, the table, our rules in others' tables, forwarding as it was before."""
        with self._lock:
            ours = self._our_links()
            self._links.delete(*(link.name for link in ours if link.kind != "bridge"))
            self._links.delete(*(link.name for link in ours if link.kind == "bridge"))
            self._withdraw_all()

    def links(self) -> list[str]:
        """Names of our interfaces in this namespace now."""
        return [link.name for link in self._our_links()]

    def strays(self, networks: Sequence[NetworkRecord], links: Container[str]) -> list[Stray]:
        """What is ours in the kernel and is neither of `networks` nor one of the machine's ends of pairs, `links`."""
        with self._lock:
            bridges = {network.interface for network in networks}
            ours = [link.name for link in self._our_links() if link.name not in bridges and link.name not in links]
            found = [Stray("link", name, partial(self._links.delete, name)) for name in ours]
            return [*found, *strays.elements(self._nft, self._table, networks)]

    # ---- networks

    def choose_subnet(self, taken: Sequence[str], version: int = 4) -> tuple[str, str]:
        """(subnet, gateway) free in the pool: overlaps neither `taken` nor any route or address of the machine.

        `version` 4 or 6 says of which pool. ActionError (`address-exhausted`) when it is used up.
        """
        return subnets.choose(self._pools[version], [*taken, *self._in_use()])

    def bridge_name(self, network: NetworkRecord) -> str:
        """What the network's bridge is called."""
        return self._named(network).interface

    def create(self, network: NetworkRecord) -> NetworkRecord:
        """Make the bridge, up, with its gateway address(es); returns the record with `interface` filled.

        Repeating it mends whatever is missing. ConflictError (`conflict`) when a subnet overlaps one that the machine
        uses already, or an interface of others has the bridge's name; ActionError (`bad-request`) for a bad option.
        """
        options.check(network)
        if network.has_ipv6 and not sysctl.read("ipv6/conf/all/disable_ipv6"):
            raise ActionError("action-failed", f"network {network.name} cannot have IPv6", cause="this kernel has none")
        record = self._named(network)
        with self._lock:
            exists = any(bridge.name == record.interface for bridge in self._bridges())
            if not exists:
                self._check_name(record)
                self._check_overlap(record)
            # An existing network is mended without an intent: undoing the mending must not take it away.
            intent = None if exists else self._begin(_CREATE, record)
            self._load_table()
            # Before the bridge: by them other engines know it for one of an engine's (`forwarding.restore`).
            self._nft.commit(table.add_network(self._table, record.interface, record.subnets, internal=record.internal))
            hardware, addresses = _bridge_addresses(record)
            alias = self._alias if options.BRIDGE in record.options else ""
            self._links.create_bridge(record.interface, hardware, addresses, mtu=options.mtu(record), alias=alias)
            if not exists:
                self._check_race(record)
            sysctl.write(f"ipv4/conf/{record.interface}/route_localnet", "1")
            self._beside.guard(self._foreign_bridges())
            self._beside.pass_through(record)
            for setting in _forwarding(record):
                forwarding.enable(self._journal, setting, self._foreign_bridges)
            if intent is not None:
                self._journal.done(intent)
        return record

    def remove(self, network: NetworkRecord) -> None:
        """Remove the bridge and its elements; with the last network everything else of ours too."""
        record = self._named(network)
        with self._lock:
            self._begin(_REMOVE, record)
            self._remove(record)
            # With that of a creation that has failed.
            for intent in self._open():
                if intent.key == record.id:
                    self._journal.done(intent.id)
            if not self._bridges():
                self._withdraw_all()

    def facts(self, network: NetworkRecord) -> NetworkFacts:
        """What the kernel has of this network now."""
        with self._lock:
            links = self._links.all()
            bridge = next((link for link in links if link.name == network.interface), None)
            dropped_by, sealed = self._beside.dropped_by(network)
            return NetworkFacts(
                bridge=bridge is not None and bridge.up,
                addresses=tuple(self._links.addresses(bridge.index)) if bridge else (),
                elements=self._has_elements(network),
                forwarding=all(sysctl.read(setting) == "1" for setting in _forwarding(network)),
                dropped_by=dropped_by,
                sealed=sealed,
                ports=tuple(link.name for link in links if bridge and link.master == bridge.index),
                down=tuple(link.name for link in links if bridge and link.master == bridge.index and not link.up),
                loopback=sysctl.read(f"ipv4/conf/{network.interface}/route_localnet") == "1",
            )

    def watch(self) -> RuleWatch:
        """Tells when `hindered` may have another answer. Raises KernelError."""
        return RuleWatch(self._table)

    def polled(self) -> bool:
        """Whether there are rules of which the kernel does not tell when they change (iptables-legacy)."""
        return legacy.in_use(4) or legacy.in_use(6)

    def hindered(self, networks: Iterable[NetworkRecord]) -> list[NetworkRecord]:
        """Those of which another table drops packets, though it would take rules of ours.

        One look for all of them (1 ms, with iptables-legacy 10); guards new bridges of others against them, too.
        """
        with self._lock:
            self._beside.guard(self._foreign_bridges())
            return self._beside.hindered(networks)

    # ---- containers

    def new_namespace(self) -> int:
        """A file descriptor of a fresh network namespace, lo up. It lives as long as a descriptor or a process."""
        return attachment.new_namespace()

    def wire(self) -> Wired:
        """A fresh namespace with a veth pair that waits to be attached (1 ms): what a pool is made of.

        The caller owns it (`Wired.release`). Its links go with its last descriptor.
        """
        with self._lock:
            return attachment.wire(self._route, self._prefix)

    def attach(
        self,
        identity: str,
        netns_fd: int,
        interface: str,
        network: NetworkRecord,
        endpoint: Endpoint,
        default_route: bool,
    ) -> None:
        """Connect the namespace to the network: `interface` in it has the endpoint's addresses and is up.

        No default route is set for an internal network. ConflictError (`conflict`) when the namespace has another
        `interface`.
        """
        with self._lock:
            record = self._named(network)
            name = attachment.link_name(self._prefix, identity, network.id, netns_fd)
            attachment.attach(self._route, name, netns_fd, interface, record, endpoint, default_route=default_route)
            self._addresses[identity, network.id] = (endpoint.ipv4, endpoint.ipv6)

    def attach_wired(
        self, identity: str, wired: Wired, network: NetworkRecord, endpoint: Endpoint, default_route: bool
    ) -> None:
        """As `attach`, by the pair that waits in the namespace (`eth0`), once for each; 0.3 ms.

        Where somebody has deleted the pair meanwhile the namespace gets another one.
        """
        with self._lock:
            try:
                attachment.attach_wired(self._route, wired, self._named(network), endpoint, default_route=default_route)
            except KernelError as error:
                if error.errno != errno.ENODEV:
                    raise
                self.attach(identity, wired.netns, attachment.FIRST, network, endpoint, default_route)
            self._addresses[identity, network.id] = (endpoint.ipv4, endpoint.ipv6)

    def port(self, netns_fd: int, interface: str, network: NetworkRecord) -> PortFacts:
        """What the kernel has of a container's place at the network's bridge now."""
        with self._lock:
            return port.look(self._route, netns_fd, interface, self._named(network))

    def reattach(
        self,
        identity: str,
        netns_fd: int,
        interface: str,
        network: NetworkRecord,
        endpoint: Endpoint,
        default_route: bool,
    ) -> None:
        """As `attach`, where the pair may have been taken from the bridge or set down meanwhile."""
        with self._lock:
            found = port.look(self._route, netns_fd, interface, self._named(network))
            if found.name and not found.attached:
                port.put_back(self._route, found, self._named(network), options.mtu(network))
            self.attach(identity, netns_fd, interface, network, endpoint, default_route)

    def lead(
        self, netns_fd: int, interface: str, network: NetworkRecord, endpoint: Endpoint, versions: Iterable[int]
    ) -> None:
        """Have the namespace's default routes of these families (4, 6) go through this network."""
        with self._lock:
            attachment.route_by(netns_fd, interface, self._named(network), endpoint, versions)

    def detach(
        self, identity: str, network: NetworkRecord, netns_fd: int | None, endpoint: Endpoint | None = None
    ) -> None:
        """Take the namespace off the network. With `netns_fd` None the namespace is ending and its links go with it.

        `endpoint` names the address to forget where this process did not attach it.
        """
        with self._lock:
            known = self._addresses.pop((identity, network.id), ("", ""))
            addresses = (endpoint.ipv4, endpoint.ipv6) if endpoint else known
            attachment.detach(self._route, netns_fd, self._named(network).interface, addresses)

    def dns_sockets(self, netns_fd: int) -> tuple[int, int]:
        """UDP and TCP sockets at 127.0.0.11 in the namespace, which answer for 127.0.0.11:53 there.

        The caller holds them in the supervisor (`dns/<id>`), gives them to the resolver and closes its own.
        """
        return dns.open_sockets(netns_fd, self._table)

    # ---- published ports

    def publish(self, entries: Sequence[Publication]) -> None:
        """Replace what stands behind these host ports, all in one transaction. New connections only."""
        with self._lock:
            self._load_table()
            self._flush(self._publisher.publish(entries))

    def unpublish(self, keys: Sequence[PortKey]) -> None:
        """Forget these host ports. Unknown ones are skipped."""
        with self._lock:
            if self._nft.table_comment(table.INET, self._table) is not None:
                self._flush(self._publisher.unpublish(keys))

    def published(self) -> dict[PortKey, tuple[tuple[str, int], ...]]:
        """Host ports as the kernel has them now, with their backends."""
        with self._lock:
            return self._publisher.present()

    def reserve(self, owner: str, protocol: str, host_ip: str, host_port: int) -> int:
        """Keep the port for `owner` (project/service) with bound sockets that the supervisor holds; returns the port.

        Idempotent for one owner. 0 chooses a fresh port at every call. ActionError (`port-taken`) names the holder
        where it can be found.
        """
        return self._reservations.reserve(owner, PortKey(protocol, host_ip, host_port).normal())

    def unreserve(self, owner: str, protocol: str = "", host_ip: str = "", host_port: int = 0) -> None:
        """Give back one port of `owner`, or with no protocol all of them."""
        key = PortKey(protocol, host_ip, host_port).normal() if protocol else None
        self._reservations.release(owner, key)

    def reservations(self) -> list[tuple[str, PortKey]]:
        """(owner, port) of everything that is reserved."""
        return self._reservations.all()

    # ---- parts

    @property
    def _alias(self) -> str:
        """What marks a bridge with a name of the user's as ours."""
        return f"stackfile {self._table}"

    def _named(self, network: NetworkRecord) -> NetworkRecord:
        return replace(network, interface=options.bridge(network, self._prefix))

    def _has_elements(self, network: NetworkRecord) -> bool:
        wanted = table.network_keys(network.interface, network.subnets, internal=network.internal)
        for name, keys in wanted.items():
            if not keys <= {element.key for element in self._nft.elements(table.INET, self._table, name)}:
                return False
        return True

    def _load_table(self) -> None:
        """Make the table, unless the kernel has it in the present layout."""
        comment = self._nft.table_comment(table.INET, self._table)
        if comment == table.LAYOUT:
            return
        old = [nft.delete_table(table.INET, self._table)] if comment is not None else []
        self._nft.commit([*old, *table.static(self._table)])
        self._publisher.forget()

    def _remove(self, network: NetworkRecord) -> None:
        links = self._links.all()
        bridge = next((link.index for link in links if link.name == network.interface), 0)
        stale = [link.name for link in links if bridge and link.master == bridge and self._is_ours(link)]
        own = [link.name for link in links if link.name == network.interface and self._is_ours(link)]
        self._links.delete(*stale, *own)
        self._remove_elements(network)
        self._beside.withdraw(network.interface)
        self._addresses = {key: value for key, value in self._addresses.items() if key[1] != network.id}

    def _remove_elements(self, network: NetworkRecord) -> None:
        if self._nft.table_comment(table.INET, self._table) is None:
            return
        parts = table.remove_network(self._table, network.interface, network.subnets, internal=network.internal)
        together = [message for messages in parts for message in messages]
        for messages in (together, *parts):  # one by one where some are gone already
            try:
                self._nft.commit(messages)
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise
            else:
                if messages is together:
                    return

    def _withdraw_all(self) -> None:
        """Everything of ours that serves all networks."""
        if self._nft.table_comment(table.INET, self._table) is not None:
            self._nft.commit([nft.delete_table(table.INET, self._table)])
        self._publisher.forget()
        self._beside.withdraw()
        forwarding.restore(self._journal, self._nft, self._table, self._foreign_bridges)

    def _check_name(self, network: NetworkRecord) -> None:
        if any(link.name == network.interface for link in self._links.all()):
            raise ConflictError(
                "conflict",
                f"network {network.name} cannot have the bridge {network.interface}",
                cause="there is an interface of this name, which is not this engine's",
            )

    def _check_overlap(self, network: NetworkRecord) -> None:
        used = self._in_use()
        for subnet in network.subnets:
            other = subnets.overlapping(subnet, used)
            if other:
                raise ConflictError(
                    "conflict",
                    f"subnet {subnet} of network {network.name} overlaps {other}, which this machine uses already",
                    hint="choose another subnet, or leave it out to have a free one chosen",
                )

    def _check_race(self, network: NetworkRecord) -> None:
        """Another engine may have taken the same subnet since we looked: whose bridge is younger gives way.

        The younger one may have looked before our address was there, and stay: then we go. Raises ConflictError
        (`conflict`); the bridge is there then, for the caller to undo.
        """
        deadline = time.monotonic() + _RACE
        while True:
            older, younger = self._others(network)
            if not older and not younger:
                return
            if older or time.monotonic() > deadline:
                cause = f"by {older or younger}"
                raise ConflictError("conflict", f"subnets of network {network.name} were just taken", cause=cause)
            time.sleep(_RACE / 50)

    def _others(self, network: NetworkRecord) -> tuple[str, str]:
        """An address in the network's subnets of an older link than its bridge, and one of a younger link."""
        own = next(link.index for link in self._links.all() if link.name == network.interface)
        placed = self._links.placed()
        found = []
        for some in ([a for a, link in placed if link < own], [a for a, link in placed if link > own]):
            overlaps = (subnets.overlapping(subnet, some) for subnet in network.subnets)
            found.append(next(filter(None, overlaps), ""))
        return found[0], found[1]

    def _in_use(self) -> list[str]:
        return [*(route.destination for route in self._links.routes()), *self._links.addresses()]

    def _open(self) -> list[Intent]:
        """Networks whose making or removal was begun and not recorded as done."""
        return [intent for intent in self._journal.entries() if intent.kind in (_CREATE, _REMOVE)]

    def _begin(self, kind: str, network: NetworkRecord) -> int:
        return self._journal.begin(kind, network.id, data_of(network))

    def _our_links(self) -> list[Link]:
        return [link for link in self._links.all() if self._is_ours(link)]

    def _is_ours(self, link: Link) -> bool:
        return bool(self._own.fullmatch(link.name)) or link.alias == self._alias

    def _bridges(self) -> list[Link]:
        return [link for link in self._our_links() if link.kind == "bridge"]

    def _foreign_bridges(self) -> list[str]:
        links = self._links.all()
        return [link.name for link in links if link.kind == "bridge" and not self._is_ours(link)]

    def _flush(self, changed: Sequence[PortKey]) -> None:
        """Have the clients of changed UDP ports decide anew where they are led."""
        udp = [key for key in changed if key.protocol == "udp"]
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            ports = {(socket.IPPROTO_UDP, key.host_port) for key in udp if version in key.versions}
            if not ports:
                continue
            if conntrack.count() <= _MANY:
                conntrack.flush(ports, family)
                continue
            if self._flusher is None:
                self._flusher = ThreadPoolExecutor(1, "conntrack")
            self._flusher.submit(conntrack.flush, ports, family)


def _forwarding(network: NetworkRecord) -> list[str]:
    """Settings that the network needs to be 1."""
    if network.internal:
        return []
    return [sysctl.FORWARD, sysctl.FORWARD6] if network.has_ipv6 else [sysctl.FORWARD]


def _bridge_addresses(network: NetworkRecord) -> tuple[str, list[str]]:
    """(hardware address, gateway addresses with prefix) of a network's bridge."""
    pairs = list(zip(network.gateways, network.subnets, strict=True))
    addresses = [f"{gateway}/{subnets.parse(subnet).prefixlen}" for gateway, subnet in pairs]
    return subnets.hardware(network.gateways[0]), addresses
