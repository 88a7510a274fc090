"""Published ports in the kernel: brings the table's elements from what they are to what they should be."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from ipaddress import ip_address

from stackfile.errors import ActionError, KernelError
from stackfile.kernel.netlink import Message
from stackfile.kernel.nftables import Element, Nftables
from stackfile.network import table as tables
from stackfile.network.publication import PortKey, Publication

Backends = tuple[tuple[str, int], ...]
_STALE = (errno.ENOENT, errno.EEXIST, errno.EBUSY)


class Publisher:
    """The published ports of one table. Remembers what it wrote; reads the kernel when that proves wrong."""

    def __init__(self, kernel: Nftables, table: str) -> None:
        self._kernel = kernel
        self._table = table
        self._present: dict[PortKey, Backends] | None = None

    def forget(self) -> None:
        """The table is not what it was: read it before the next change."""
        self._present = None

    def present(self) -> dict[PortKey, Backends]:
        """Ports with their backends, as the kernel has them."""
        found: dict[PortKey, Backends] = {}
        for shape, host in (("any4", False), ("one4", True)):
            for item in self._elements(shape):
                key = tables.parse_port_key(item.key, host=host)
                found[key] = (tables.parse_backend(item.value),)
            for item in self._elements(f"closed_{shape}"):
                found[tables.parse_port_key(item.key, host=host)] = ()
            for item in self._elements(f"many_{shape}"):
                backends = sorted((e.key, e.value) for e in self._elements(item.chain))
                found[tables.parse_port_key(item.key, host=host)] = tuple(
                    tables.parse_backend(value) for _, value in backends
                )
        self._present = found
        return dict(found)

    def publish(self, entries: Sequence[Publication]) -> list[PortKey]:
        """Put the entries in place of what stands at their ports, in one transaction; returns the changed ports.

        ActionError (`action-failed`) for a port at an IPv6 address: our networks have IPv4 addresses.
        """
        for entry in entries:
            _check(entry)
        wanted: dict[PortKey, Publication | None] = {entry.key: entry for entry in entries}
        return self._apply(wanted)

    def unpublish(self, keys: Sequence[PortKey]) -> list[PortKey]:
        """Take ports away; returns those that were there."""
        return self._apply({key.normal(): None for key in keys})

    def _apply(self, wanted: dict[PortKey, Publication | None]) -> list[PortKey]:
        if self._present is None:
            self.present()
        try:
            return self._commit(wanted)
        except KernelError as error:
            if error.errno not in _STALE:
                raise
        self.present()
        return self._commit(wanted)

    def _commit(self, wanted: dict[PortKey, Publication | None]) -> list[PortKey]:
        assert self._present is not None
        messages: list[Message] = []
        changed: list[PortKey] = []
        for key, entry in wanted.items():
            steps = self._steps(key, self._present.get(key), entry)
            if steps:
                messages += steps
                changed.append(key)
        self._kernel.commit(messages)
        for key in changed:
            entry = wanted[key]
            if entry is None:
                del self._present[key]
            else:
                self._present[key] = entry.backends
        return changed

    def _steps(self, key: PortKey, now: Backends | None, entry: Publication | None) -> list[Message]:
        """Messages that lead from the present backends to the wanted ones; None means that the port is not there."""
        if entry is not None and now == entry.backends:
            return []
        if entry is not None and now is not None and len(now) > 1 and len(entry.backends) > 1:
            return tables.respread(self._table, entry)
        steps = tables.remove_port(self._table, key, len(now)) if now is not None else []
        return steps + (tables.add_port(self._table, entry) if entry is not None else [])

    def _elements(self, name: str) -> list[Element]:
        return self._kernel.elements(tables.INET, self._table, name)


def _check(entry: Publication) -> None:
    families = {entry.key.version, *(ip_address(address).version for address, _ in entry.backends)}
    if families != {4}:
        raise ActionError("action-failed", f"cannot publish {entry.key}", cause="the network has no IPv6 addresses")
