"""The facade: networks, attachments, published ports of one engine."""

from __future__ import annotations

from collections.abc import Sequence

from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.network.doctor import Check
from stackfile.network.facts import NetworkFacts
from stackfile.network.journal import Journal
from stackfile.network.publication import PortKey, Publication
from stackfile.network.reservation import Holder


class NetworkManager:
    """Everything in the kernel's network that belongs to one engine.

    Synchronous: a call takes from 0.1 to a few ms (removing a bridge 30). All calls work on the network namespace that
    the calling thread is in. Every operation is idempotent in both directions.
    """

    def __init__(self, *, prefix: str, table: str, pool: str, supervisor: Holder, journal: Journal) -> None:
        """`prefix` of interface names, `table` of nftables, `pool` of IPv4 subnets; see settings.py."""
        raise NotImplementedError

    def setup(self) -> None:
        """Settle what a killed process left half done. Call once at start, before anything else.

        The table, forwarding and the rules beside other firewalls come with the first network and go with the last.
        """
        raise NotImplementedError

    def teardown(self) -> None:
        """Remove all of ours: bridges, the table, our rules in others' tables, forwarding as it was before."""
        raise NotImplementedError

    def choose_subnet(self, taken: Sequence[str]) -> tuple[str, str]:
        """(subnet, gateway) free in the pool: overlaps neither `taken` nor any route or address of the machine.

        ActionError (`address-exhausted`) when the pool is used up.
        """
        raise NotImplementedError

    def create(self, network: NetworkRecord) -> NetworkRecord:
        """Make the bridge, up, with its gateway address(es); returns the record with `interface` filled."""
        raise NotImplementedError

    def remove(self, network: NetworkRecord) -> None:
        """Remove the bridge and its elements; with the last network everything else of ours too."""
        raise NotImplementedError

    def new_namespace(self) -> int:
        """A file descriptor of a fresh network namespace, lo up. It lives as long as a descriptor or a process."""
        raise NotImplementedError

    def attach(
        self,
        identity: str,
        netns_fd: int,
        interface: str,
        network: NetworkRecord,
        endpoint: Endpoint,
        default_route: bool,
    ) -> None:
        """Connect the namespace to the network: `interface` in it has the endpoint's address and is up.

        No default route is set for an internal network.
        """
        raise NotImplementedError

    def detach(
        self, identity: str, network: NetworkRecord, netns_fd: int | None, endpoint: Endpoint | None = None
    ) -> None:
        """Take the namespace off the network. With `netns_fd` None the namespace is ending and its links go with it."""
        raise NotImplementedError

    def publish(self, entries: Sequence[Publication]) -> None:
        """Replace what stands behind these host ports, all in one transaction. New connections only."""
        raise NotImplementedError

    def unpublish(self, keys: Sequence[PortKey]) -> None:
        """Forget these host ports. Unknown ones are skipped."""
        raise NotImplementedError

    def published(self) -> dict[PortKey, tuple[tuple[str, int], ...]]:
        """Host ports as the kernel has them now, with their backends."""
        raise NotImplementedError

    def reserve(self, owner: str, protocol: str, host_ip: str, host_port: int) -> int:
        """Keep the port for `owner` (project/service) with bound sockets that the supervisor holds; returns the port.

        Idempotent for one owner. 0 chooses a fresh port at every call. ActionError (`port-taken`) names the holder
        where it can be found.
        """
        raise NotImplementedError

    def unreserve(self, owner: str, protocol: str = "", host_ip: str = "", host_port: int = 0) -> None:
        """Give back one port of `owner`, or with no protocol all of them."""
        raise NotImplementedError

    def reservations(self) -> list[tuple[str, PortKey]]:
        """(owner, port) of everything that is reserved."""
        raise NotImplementedError

    def dns_sockets(self, netns_fd: int) -> tuple[int, int]:
        """UDP and TCP sockets at 127.0.0.11 in the namespace, which answer for 127.0.0.11:53 there.

        The caller holds them in the supervisor (`dns/<id>`), gives them to the resolver and closes its own.
        """
        raise NotImplementedError

    def facts(self, network: NetworkRecord) -> NetworkFacts:
        """What the kernel has of this network now."""
        raise NotImplementedError

    def links(self) -> list[str]:
        """Names of our interfaces in this namespace now."""
        raise NotImplementedError

    def doctor(self) -> list[Check]:
        """What this machine offers and what stands in the way."""
        raise NotImplementedError
