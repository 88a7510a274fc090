"""Networks: records, bridges, and the addresses that containers lease in them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from stackfile import log, wire
from stackfile.engines.embedded import clock, names
from stackfile.engines.embedded.addresses import Addresses
from stackfile.engines.embedded.bus import Bus
from stackfile.engines.embedded.cleanup import step
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.errors import ActionError, ConflictError, StackfileError
from stackfile.model import builtin, labels
from stackfile.model.container import Endpoint, NetworkRecord
from stackfile.model.stack import Attachment
from stackfile.network.manager import NetworkManager
from stackfile.store.rows import NetworkRow
from stackfile.store.run import RunStore
from stackfile.store.state import StateStore

DEFAULT = "bridge"
"""The network of containers that name none; made when it is needed, gone soon after its last container."""

INTENT = "engine.network"
_IDLE = 1.5
"""Seconds for which an unused default network waits for the next container."""

_ATTEMPTS = 5
"""How often a subnet is chosen when others take the chosen one before us."""

_LOG = log.get("networks")


class Networks:
    """Networks by id; synchronous, as the manager below is."""

    def __init__(self, state: StateStore, run: RunStore, manager: NetworkManager, registry: Registry, bus: Bus) -> None:
        self._state = state
        self._run = run
        self._manager = manager
        self._registry = registry
        self._bus = bus
        self._addresses = Addresses(run)
        self._records: dict[str, NetworkRecord] = {}
        self._default_users: set[str] = set()
        self._idle: asyncio.TimerHandle | None = None

    def load(self) -> None:
        """Read them from the database."""
        self._records = {row.id: wire.decode(row.record, NetworkRecord) for row in self._state.list_networks()}

    def restore(self) -> None:
        """Make every bridge that should exist exist (idempotent)."""
        for record in list(self._records.values()):
            with step(record.id, f"network {record.name}"):
                self._store(self._manager.create(record))

    def create(self, spec: NetworkRecord) -> NetworkRecord:
        """Make a network; fills id, subnet, gateway and interface. ConflictError (`name-taken`)."""
        names.check_name("network", spec.name)
        if any(record.name == spec.name for record in self._records.values()):
            raise ConflictError("name-taken", f"network {spec.name} exists already")
        if spec.driver not in ("", "bridge"):
            raise ActionError("bad-request", f"network {spec.name}: no driver {spec.driver}", hint="use bridge")
        record = self._made(replace(spec, id=spec.id or names.new_id(), driver="bridge", created=_now()))
        self._bus.publish("network", "create", record.id, {"name": record.name, "type": "bridge"})
        return record

    def _made(self, wanted: NetworkRecord) -> NetworkRecord:
        """In the kernel and stored. A subnet that we chose and somebody else took meanwhile is chosen again."""
        for _ in range(_ATTEMPTS - 1):
            record = self._addressed(wanted)
            try:
                return self._attempt(record)
            except ConflictError:
                if record.subnets == wanted.subnets:
                    raise
        return self._attempt(self._addressed(wanted))

    def _attempt(self, record: NetworkRecord) -> NetworkRecord:
        bridge = self._manager.bridge_name(record)
        if any(other.interface == bridge and other.id != record.id for other in self._records.values()):
            raise ConflictError("conflict", f"network {record.name}: another network has the bridge {bridge}")
        intent = self._run.begin(INTENT, record.id, wire.encode(record).decode())
        self._store(record)
        try:
            record = self._manager.create(record)
        except BaseException:
            with step(record.id, "undoing a network"):
                self._manager.remove(record)
            self._forget(record)
            self._run.done(intent)
            raise
        self._store(record)
        self._run.done(intent)
        return record

    def save(self, record: NetworkRecord) -> None:
        """Write its row again."""
        self._store(record)

    def mend(self, record: NetworkRecord) -> None:
        """Have everything of a network in the kernel again (idempotent)."""
        self._store(self._manager.create(record))

    def find(self, ref: str) -> NetworkRecord:
        """By id, name or unique prefix. Raises NotFoundError, ActionError (`ambiguous`)."""
        return names.resolve("network", ref, self._records, lambda record: record.name)

    def get(self, identity: str) -> NetworkRecord | None:
        """By id alone."""
        return self._records.get(identity)

    def list(self, project: str = "") -> list[NetworkRecord]:
        records = sorted(self._records.values(), key=lambda record: record.name)
        return [record for record in records if not project or record.labels.get(labels.PROJECT) == project]

    def remove(self, ref: str) -> None:
        """Raises NotFoundError, ConflictError (`network-in-use`)."""
        record = self.find(ref)
        # One that is being started has its place already, and is reachable before it runs.
        users = [c for c in self._registry.all() if (c.alive or c.reachable) and _is_on(c, record)]
        if users:
            raise ConflictError(
                "network-in-use",
                f"network {record.name} is in use",
                cause="by " + ", ".join(user.name for user in users),
            )
        self._manager.remove(record)
        self._forget(record)
        self._bus.publish("network", "destroy", record.id, {"name": record.name, "type": "bridge"})

    def undo(self, record: NetworkRecord) -> None:
        """Take back a creation that was interrupted."""
        self._manager.remove(record)
        self._forget(record)

    # ---- addresses

    def endpoint(
        self, record: NetworkRecord, owner: str, attachment: Attachment, previous: Endpoint | None
    ) -> Endpoint:
        """Lease addresses for `owner`; see Addresses."""
        return self._addresses.endpoint(record, owner, attachment, previous)

    def release(self, owner: str, network: str = "") -> None:
        """Give back the owner's addresses, in one network (id) or all."""
        self._addresses.release(owner, network)

    # ---- the default network

    def default(self, owner: str) -> NetworkRecord:
        """The default network, made if need be; it stays while `owner` uses it."""
        self._default_users.add(owner)
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        found = [record for record in self._records.values() if record.name == DEFAULT]
        if found:
            return found[0]
        return self.create(NetworkRecord(id=builtin.network_id(self._state.engine_id, DEFAULT), name=DEFAULT))

    def leave_default(self, owner: str) -> None:
        """`owner` does not use the default network any more."""
        self._default_users.discard(owner)
        if not self._default_users and self._idle is None and any(r.name == DEFAULT for r in self._records.values()):
            self._idle = asyncio.get_running_loop().call_later(_IDLE, self.drop_default)

    @property
    def default_idles(self) -> bool:
        """Whether the default network is only still there because it may be needed again at once."""
        return self._idle is not None

    def drop_default(self) -> None:
        """Remove the default network unless it is used."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._default_users or not any(record.name == DEFAULT for record in self._records.values()):
            return
        try:
            self.remove(DEFAULT)
        except StackfileError as error:
            _LOG.warning("default network stays: %s", error)

    # ---- inside

    def _addressed(self, record: NetworkRecord) -> NetworkRecord:
        """With its subnets and their gateways: as asked for, else from the pools; IPv4 always."""
        subnets = [str(self._subnet(record, text)) for text in record.subnets]
        gateways = [*record.gateways, *[""] * len(subnets)][: len(subnets)]
        gateways = [_gateway(record, subnet, gateway) for subnet, gateway in zip(subnets, gateways, strict=True)]
        ranges = [*record.ip_ranges, *[""] * len(subnets)][: len(subnets)] if any(record.ip_ranges) else []
        taken = [subnet for other in self._records.values() for subnet in other.subnets]
        if not any("." in subnet for subnet in subnets):
            subnet, gateway = self._manager.choose_subnet(taken)
            subnets, gateways, ranges = [subnet, *subnets], [gateway, *gateways], ["", *ranges] if ranges else []
        if record.enable_ipv6 and not any(":" in subnet for subnet in subnets):
            subnet, gateway = self._manager.choose_subnet(taken, 6)
            subnets, gateways = [*subnets, subnet], [*gateways, gateway]
        return replace(record, subnets=tuple(subnets), gateways=tuple(gateways), ip_ranges=tuple(ranges))

    def _subnet(self, record: NetworkRecord, text: str) -> IPv4Network | IPv6Network:
        """A subnet that was asked for; overlaps none of ours."""
        try:
            subnet = ip_network(text)
        except ValueError as error:
            raise ActionError("bad-request", f"network {record.name}: subnet {text}", cause=str(error)) from error
        for other in self._records.values():
            for known in map(ip_network, other.subnets):
                if known.version == subnet.version and known.overlaps(subnet):
                    raise ConflictError(
                        "conflict", f"network {record.name}: subnet {text} overlaps that of {other.name} ({known})"
                    )
        return subnet

    def _store(self, record: NetworkRecord) -> None:
        self._records[record.id] = record
        row = NetworkRow(record.id, record.name, record.labels.get(labels.PROJECT, ""), wire.encode(record).decode())
        self._state.put_network(row)

    def _forget(self, record: NetworkRecord) -> None:
        self._records.pop(record.id, None)
        self._state.delete_network(record.id)
        self._run.release_network(record.id)


def _now() -> str:
    return clock.rfc3339(clock.now_ns())


def _is_on(container: Container, record: NetworkRecord) -> bool:
    return any(endpoint.network_id == record.id for endpoint in container.place.endpoints)


def _gateway(record: NetworkRecord, subnet: str, wanted: str) -> str:
    """The gateway that was asked for, else the first address of the subnet."""
    network = ip_network(subnet)
    if not wanted:
        return str(next(network.hosts()))
    try:
        address = ip_address(wanted)
    except ValueError as error:
        raise ActionError("bad-request", f"network {record.name}: gateway {wanted}", cause=str(error)) from error
    if address not in network:
        raise ActionError("bad-request", f"network {record.name}: gateway {wanted} is not in {subnet}")
    return str(address)
