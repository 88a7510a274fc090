"""Published ports in the kernel: brings the table's elements from what they are to what they should be."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import replace

from stackfile.errors import KernelError
from stackfile.kernel.netlink import Message
from stackfile.kernel.nftables import Element, Nftables
from stackfile.network import table as tables
from stackfile.network.publication import ANY6, Backends, PortKey, Publication, Slot

_STALE = (errno.ENOENT, errno.EEXIST, errno.EBUSY)


class Publisher:
    """The published ports of one table. Remembers what it wrote; reads the kernel when that proves wrong."""

    def __init__(self, kernel: Nftables, table: str) -> None:
        self._kernel = kernel
        self._table = table
        self._present: dict[Slot, Backends] | None = None

    def forget(self) -> None:
        """The table is not what it was: read it before the next change."""
        self._present = None

    def present(self) -> dict[PortKey, Backends]:
        """Ports with their backends (of both families), as the kernel has them."""
        self._present = self._read()
        found: dict[PortKey, Backends] = {}
        for slot in sorted(self._present):
            found[slot.key] = found.get(slot.key, ()) + self._present[slot]
        return found

    def publish(self, entries: Sequence[Publication]) -> list[PortKey]:
        """Put the entries in place of what stands at their ports, in one transaction; returns the changed ports."""
        return self._apply({entry.key: entry.slots for entry in entries})

    def unpublish(self, keys: Sequence[PortKey]) -> list[PortKey]:
        """Take ports away; returns those that were there."""
        return self._apply({key.normal(): {} for key in keys})

    def _apply(self, wanted: dict[PortKey, dict[Slot, Backends]]) -> list[PortKey]:
        if self._present is None:
            self._present = self._read()
        try:
            return self._commit(wanted)
        except KernelError as error:
            if error.errno not in _STALE:
                raise
        self._present = self._read()
        return self._commit(wanted)

    def _commit(self, wanted: dict[PortKey, dict[Slot, Backends]]) -> list[PortKey]:
        assert self._present is not None
        messages: list[Message] = []
        changed: list[PortKey] = []
        for key, slots in wanted.items():
            for slot in (Slot(key, version) for version in key.versions):
                steps = self._steps(slot, self._present.get(slot), slots.get(slot))
                messages += steps
                changed += [key] if steps else []
        self._kernel.commit(messages)
        for key in changed:
            for version in key.versions:
                self._present.pop(Slot(key, version), None)
            self._present.update(wanted[key])
        return list(dict.fromkeys(changed))

    def _steps(self, slot: Slot, now: Backends | None, then: Backends | None) -> list[Message]:
        """Messages that lead from the present backends to the wanted ones; None means that the port is not there."""
        if now == then:
            return []
        if now is not None and then is not None and len(now) > 1 and len(then) > 1:
            return tables.respread(self._table, slot, then)
        steps = tables.remove_port(self._table, slot, len(now)) if now is not None else []
        return steps + (tables.add_port(self._table, slot, then) if then is not None else [])

    def _read(self) -> dict[Slot, Backends]:
        found: dict[Slot, Backends] = {}
        for version in (4, 6):
            for shape, host in ((f"any{version}", False), (f"one{version}", True)):
                found |= self._shape(shape, version, host=host)
        return dict(_named(found))

    def _shape(self, shape: str, version: int, *, host: bool) -> dict[Slot, Backends]:
        found: dict[Slot, Backends] = {}
        for item in self._elements(shape):
            found[Slot(tables.parse_port_key(item.key, host=host), version)] = (tables.parse_backend(item.value),)
        for item in self._elements(f"closed_{shape}"):
            found[Slot(tables.parse_port_key(item.key, host=host), version)] = ()
        for item in self._elements(f"many_{shape}"):
            rows = sorted((element.key, element.value) for element in self._elements(item.chain))
            backends = tuple(tables.parse_backend(value) for _, value in rows)
            found[Slot(tables.parse_port_key(item.key, host=host), version)] = backends
        return found

    def _elements(self, name: str) -> list[Element]:
        return self._kernel.elements(tables.INET, self._table, name)


def _named(found: dict[Slot, Backends]) -> Iterable[tuple[Slot, Backends]]:
    """A port at all IPv6 addresses is that of all addresses where it has an IPv4 side too, else `::`."""
    for slot, backends in found.items():
        alone = slot.version == 6 and not slot.key.host_ip and Slot(slot.key, 4) not in found
        yield (Slot(replace(slot.key, host_ip=ANY6), 6) if alone else slot), backends
