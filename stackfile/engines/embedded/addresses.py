"""The addresses that containers lease in networks, of both families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from itertools import chain, islice

from stackfile.errors import ActionError, ConflictError
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.model.stack import Attachment
from stackfile.store.run import RunStore

_TRIES = 4096
"""Leased addresses that are passed over before a subnet counts as full."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """A subnet of a network, and the part of it that addresses come from by themselves."""

    subnet: IPv4Network | IPv6Network
    gateway: str
    part: IPv4Network | IPv6Network

    @property
    def bounds(self) -> tuple[int, int]:
        """First and last number; neither the network's own address nor that of a broadcast."""
        first, last = int(self.part.network_address), int(self.part.broadcast_address)
        if self.part.network_address == self.subnet.network_address and self.subnet.num_addresses > 2:
            first += 1
        if self.part.broadcast_address == self.subnet.broadcast_address and self.subnet.num_addresses > 2:
            last -= 1
        return first, last


@dataclass(frozen=True, slots=True)
class _Leased:
    """An address with the prefix and gateway of its subnet; all empty where the network has none of the family."""

    address: str = ""
    prefix: int = 0
    gateway: str = ""


class Addresses:
    """Leases, kept in run.db."""

    def __init__(self, run: RunStore) -> None:
        self._run = run

    def endpoint(
        self, record: NetworkRecord, owner: str, attachment: Attachment, previous: Endpoint | None
    ) -> Endpoint:
        """Lease an address of each family that the network has: the one that is asked for, else the previous, else a
        free one.

        Raises ActionError (`address-exhausted`, `bad-request`), ConflictError (`conflict`) for one that is taken.
        """
        before = previous or Endpoint(network="", network_id="")
        four = self._lease(record, 4, owner, attachment.ipv4, before.ipv4)
        six = self._lease(record, 6, owner, attachment.ipv6, before.ipv6, like=four)
        return Endpoint(
            network=record.name,
            network_id=record.id,
            ipv4=four.address,
            ipv4_prefix=four.prefix,
            gateway=four.gateway,
            ipv6=six.address,
            ipv6_prefix=six.prefix,
            gateway6=six.gateway,
            mac=attachment.mac or _mac(four.address),
            aliases=attachment.aliases,
        )

    def release(self, owner: str, network: str = "") -> None:
        """Give back the owner's addresses, in one network (id) or all."""
        self._run.release(owner, network)

    def _lease(
        self,
        record: NetworkRecord,
        version: int,
        owner: str,
        wanted: str,
        previous: str,
        like: _Leased | None = None,
    ) -> _Leased:
        pools = _pools(record, version)
        if not pools:
            if wanted:
                raise ActionError("bad-request", f"network {record.name} has no IPv{version} subnet for {wanted}")
            return _Leased()
        held = {row.address: row.owner for row in self._run.leases(record.id) if (":" in row.address) == (version == 6)}
        own = [address for address, holder in held.items() if holder == owner]
        if wanted:
            chosen = self._take(record, pools, owner, wanted)
        elif own:
            chosen = own[0]
        else:
            chosen = self._run.lease(record.id, _candidates(record, pools, held, previous, like), owner)
        for address in own:
            if address != chosen:
                self._run.release_address(record.id, address)
        if not chosen:
            subnets = ", ".join(str(pool.part) for pool in pools)
            raise ActionError(
                "address-exhausted", f"network {record.name} has no free address", cause=f"all of {subnets} are leased"
            )
        pool = next(pool for pool in pools if ip_address(chosen) in pool.subnet)
        return _Leased(chosen, pool.subnet.prefixlen, pool.gateway)

    def _take(self, record: NetworkRecord, pools: list[_Pool], owner: str, wanted: str) -> str:
        address = str(ip_address(wanted))
        if not any(ip_address(address) in pool.subnet for pool in pools):
            subnets = ", ".join(str(pool.subnet) for pool in pools)
            raise ActionError("bad-request", f"address {wanted} is not in network {record.name} ({subnets})")
        gateways = {pool.gateway for pool in pools}
        if address in gateways or not self._run.lease(record.id, [address], owner):
            cause = "it is the gateway's" if address in gateways else ""
            raise ConflictError("conflict", f"address {wanted} in network {record.name} is taken", cause=cause)
        return address


def _pools(record: NetworkRecord, version: int) -> list[_Pool]:
    found = []
    for number, text in enumerate(record.subnets):
        subnet = ip_network(text)
        if subnet.version != version:
            continue
        part = record.ip_ranges[number] if number < len(record.ip_ranges) else ""
        gateway = record.gateways[number] if number < len(record.gateways) else ""
        found.append(_Pool(subnet, gateway, ip_network(part, strict=False) if part else subnet))
    return found


def _candidates(
    record: NetworkRecord, pools: list[_Pool], held: dict[str, str], previous: str, like: _Leased | None
) -> list[str]:
    """Addresses to try: the previous one, one that ends as the container's IPv4 address does, the next free one."""
    taken = {int(ip_address(address)) for address in (*held, *record.reserved) if address}
    candidates = []
    if previous and previous not in held and any(ip_address(previous) in pool.subnet for pool in pools):
        return [previous]
    for pool in pools:
        busy = taken | ({int(ip_address(pool.gateway))} if pool.gateway else set())
        mirrored = _mirrored(pool, like)
        numbers = chain([mirrored] if mirrored else [], _free(pool, busy))
        candidates += [str(pool.subnet[0] + (number - int(pool.subnet[0]))) for number in islice(
            (number for number in numbers if number not in busy), 1
        )]  # fmt: skip
    return candidates


def _mirrored(pool: _Pool, like: _Leased | None) -> int:
    """The address whose place in its subnet is that of the IPv4 address; 0 where there is none."""
    if like is None or not like.address:
        return 0
    place = int(IPv4Address(like.address)) & ((1 << (32 - like.prefix)) - 1)
    number = int(pool.subnet.network_address) + place
    first, last = pool.bounds
    return number if first <= number <= last else 0


def _free(pool: _Pool, busy: set[int]) -> Iterator[int]:
    """The address after the highest leased one, and on from the lowest: an address rests before it is given again."""
    first, last = pool.bounds
    highest = max((number for number in busy if first <= number <= last), default=first - 1)
    numbers = chain(range(highest + 1, last + 1), range(first, highest))
    return (number for number in islice(numbers, len(busy) + _TRIES) if number not in busy)


def _mac(address: str) -> str:
    """A local MAC made of the address, so that the two never disagree (as Docker makes it)."""
    if not address:
        return ""
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x42, *IPv4Address(address).packed))
