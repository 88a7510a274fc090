"""Published ports are kept for us by sockets that are bound and never listen; the supervisor holds them.

Without that, a service of the machine could take a port which the translation would then silently take from it.
SO_REUSEADDR is set for the bind alone: so connections in TIME_WAIT are no obstacle, and afterwards nobody else gets in.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from stackfile.errors import ActionError
from stackfile.network.publication import PortKey

_ROOT = "port"
_ANY = "any"
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_ATTEMPTS = 30
_RECENT, _PAUSE = 1.0, 0.002
_LISTEN = "0A"


class Holder(Protocol):
    """What this module needs of the supervisor's client."""

    def hold(self, key: str, fds: Sequence[int]) -> None: ...
    def fetch(self, key: str) -> list[int]: ...
    def drop(self, prefix: str) -> None: ...
    def keys(self, prefix: str = "") -> list[str]: ...


class Reservations:
    """The ports that one engine has reserved."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._left: dict[PortKey, float] = {}
        """Ports that were given back, and when."""

    def reserve(self, owner: str, key: PortKey) -> int:
        """Reserve the port for `owner`, unless it has it; returns the port (a fresh one for port 0)."""
        if key.host_port and self._holder.keys(holder_key(owner, key)):
            return key.host_port
        sockets = _bind_any(key) if key.host_port == 0 else self._bind(owner, key)
        try:
            port = int(sockets[0].getsockname()[1])
            taken = PortKey(key.protocol, key.host_ip, port)
            self._holder.hold(holder_key(owner, taken), [sock.fileno() for sock in sockets])
        finally:
            for sock in sockets:
                sock.close()
        return port

    def release(self, owner: str, key: PortKey | None = None) -> None:
        """Give back one port of `owner`, or all of them."""
        for other, held in self.all() if key is None else [(owner, key)]:
            if other == owner:
                self._left[held] = time.monotonic()
        self._holder.drop(holder_key(owner, key) if key else f"{_ROOT}/{owner}")

    def all(self) -> list[tuple[str, PortKey]]:
        """(owner, port) of every reservation."""
        return [_parse(name) for name in self._holder.keys(_ROOT)]

    def _bind(self, owner: str, key: PortKey) -> list[socket.socket]:
        try:
            return self._bind_soon(key)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise ActionError(
                    "action-failed", f"cannot publish {key}", cause=f"{key.host_ip} is no address of this machine"
                ) from error
            if error.errno != errno.EADDRINUSE:
                raise ActionError(
                    "action-failed", f"cannot publish {key}", cause=os.strerror(error.errno or 0)
                ) from error
            holder = self._other_owner(owner, key) or _process(key)
            hint = "publish another host port, or stop what uses this one"
            raise ActionError("port-taken", f"port {key} is taken", cause=holder, hint=hint) from error

    def _bind_soon(self, key: PortKey) -> list[socket.socket]:
        """Bind; where we have just given the port back, the relay may have it for a moment longer."""
        now = time.monotonic()
        self._left = {held: when for held, when in self._left.items() if now - when < _RECENT}
        for _ in range(_ATTEMPTS if any(held.overlaps(key) for held in self._left) else 0):
            try:
                return _bind(key)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                time.sleep(_PAUSE)
        return _bind(key)

    def _other_owner(self, owner: str, key: PortKey) -> str:
        for other, held in self.all():
            if held.overlaps(key):
                same = "this service, by another address" if other == owner else f"service {other} of this engine"
                return f"published by {same}"
        return ""


def holder_key(owner: str, key: PortKey) -> str:
    """Under which the supervisor holds the sockets of a reservation: one, or for every address IPv4's and IPv6's."""
    return f"{_ROOT}/{owner}/{key.protocol}/{key.host_ip or _ANY}/{key.host_port}"


def _parse(name: str) -> tuple[str, PortKey]:
    owner, protocol, host_ip, port = name.removeprefix(f"{_ROOT}/").rsplit("/", 3)
    return owner, PortKey(protocol, "" if host_ip == _ANY else host_ip, int(port))


def _bind(key: PortKey) -> list[socket.socket]:
    """Bound sockets: of the address's family, or of both for every address. Raises OSError."""
    addresses = [key.host_ip or "0.0.0.0"]
    if not key.host_ip and os.path.exists("/proc/sys/net/ipv6"):
        addresses.append("::")
    sockets: list[socket.socket] = []
    port = key.host_port
    try:
        for address in addresses:
            sockets.append(_bound(_KINDS[key.protocol], address, port))
            port = int(sockets[0].getsockname()[1])
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bound(kind: int, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_any(key: PortKey) -> list[socket.socket]:
    """Sockets at a port of the kernel's ephemeral range that is free in both families."""
    for _ in range(_ATTEMPTS):
        try:
            return _bind(replace(key, host_port=_free_port(key)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise ActionError(
                    "action-failed", f"cannot publish {key}", cause=os.strerror(error.errno or 0)
                ) from error
    raise ActionError("port-taken", f"no free port to publish {key}")


def _free_port(key: PortKey) -> int:
    """A port that the kernel chose. One bound without naming it would be lost when the relay stops listening."""
    with _bound(_KINDS[key.protocol], key.host_ip or "0.0.0.0", 0) as probe:
        return int(probe.getsockname()[1])


def _process(key: PortKey) -> str:
    """Who has the port, from /proc; "" when nobody can be found (another namespace, or no right to look)."""
    inodes = set(_inodes(key))
    if not inodes:
        return "in use"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    with open(f"/proc/{pid}/comm") as file:
                        return f"in use by {file.read().strip()} (pid {pid})"
        except OSError:
            continue  # the process or the descriptor went away
    return "in use"


def _inodes(key: PortKey) -> Iterator[str]:
    """Sockets at this port, as links in /proc/<pid>/fd name them; of TCP only those that listen (proc(5))."""
    for family in ("", "6"):
        try:
            with open(f"/proc/thread-self/net/{key.protocol}{family}") as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue
        for row in rows:
            listens = key.protocol != "tcp" or row[3] == _LISTEN
            if listens and int(row[1].rpartition(":")[2], 16) == key.host_port:
                yield f"socket:[{row[9]}]"
