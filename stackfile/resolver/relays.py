"""The relays of all published ports, by the key under which the supervisor holds their sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from stackfile import log
from stackfile.errors import EngineError
from stackfile.resolver.relay import TcpRelay, UdpRelay

_LOG = log.get(__name__)
_KINDS: dict[str, type[TcpRelay | UdpRelay]] = {"tcp": TcpRelay, "udp": UdpRelay}


class Relays:
    """Brings relays from what they are to what they should be. `fetch` gives the sockets that the supervisor holds."""

    def __init__(self, fetch: Callable[[str], list[int]]) -> None:
        self._fetch = fetch
        self._relays: dict[str, TcpRelay | UdpRelay] = {}
        self._sockets: dict[str, list[socket.socket]] = {}
        """All that reserve a port, beside the relay's own duplicate: so the port stays ours without a supervisor."""

    def kept(self) -> dict[str, list[int]]:
        """The descriptors that reserve the relayed ports, by the supervisor's key."""
        return {key: [sock.fileno() for sock in sockets] for key, sockets in self._sockets.items()}

    def replace(self, ports: Mapping[str, Any]) -> None:
        """These and no others."""
        self.update({**dict.fromkeys(self._relays), **ports})

    def update(self, ports: Mapping[str, Any]) -> None:
        """Key → [protocol, [[address, port], …]], or None to end one."""
        for key, value in ports.items():
            if value is None:
                relay = self._relays.pop(key, None)
                if relay is not None:
                    relay.close()
                self._let_go(key)
                continue
            protocol, backends = value
            found = self._relays.get(key) or (self._open(key, protocol) if backends else None)
            if found is not None:
                found.lead([(address, port) for address, port in backends])

    def close(self) -> None:
        for relay in self._relays.values():
            relay.close()
        self._relays.clear()
        for key in list(self._sockets):
            self._let_go(key)

    def _let_go(self, key: str) -> None:
        for sock in self._sockets.pop(key, []):
            sock.close()

    def _open(self, key: str, protocol: str) -> TcpRelay | UdpRelay | None:
        sock = self._socket(key)
        if sock is None:
            return None
        self._relays[key] = _KINDS[protocol](sock)
        return self._relays[key]

    def _socket(self, key: str) -> socket.socket | None:
        """The IPv6 one of the sockets that reserve a port."""
        try:
            found = [socket.socket(fileno=fd) for fd in self._fetch(key)]
        except EngineError as error:
            _LOG.warning("no relay for %s: %s", key, error)
            return None
        self._let_go(key)
        self._sockets[key] = found
        chosen = next((sock for sock in found if sock.family == socket.AF_INET6), None)
        if chosen is None and os.path.exists("/proc/sys/net/ipv6"):
            _LOG.warning("no relay for %s: the port is not reserved", key)
        return chosen.dup() if chosen else None
