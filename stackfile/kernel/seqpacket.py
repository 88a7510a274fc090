"""AF_UNIX SOCK_SEQPACKET with descriptors (unix(7), SCM_RIGHTS), for the sockets between our own processes."""

from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Sequence

MAX_FDS = 250
"""The kernel's SCM_MAX_FD is 253."""

_INTS = array.array("i")
_UCRED = struct.Struct("3i")


def listen(path: str, backlog: int = 64) -> socket.socket:
    """A listening socket at `path`, mode 0600, replacing what was there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    old = os.umask(0o177)
    try:
        sock.bind(path)
    finally:
        os.umask(old)
    sock.listen(backlog)
    return sock


def connect(path: str, message: int = 1 << 20) -> socket.socket:
    """A connected, blocking socket whose messages may be `message` bytes long. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        widen(sock, message)
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def widen(sock: socket.socket, message: int) -> None:
    """Let messages of `message` bytes pass (SO_SNDBUFFORCE, socket(7); the plain option where it is refused)."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, 32, message)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, message)


def peer_uid(sock: socket.socket) -> int:
    """uid of who connected (SO_PEERCRED)."""
    return int(_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1])


def send(sock: socket.socket, data: bytes, fds: Sequence[int] = ()) -> None:
    """Send one message with descriptors. Raises OSError."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket, size: int = 1 << 20) -> tuple[bytes, list[int]]:
    """Receive one message and its descriptors (close-on-exec); empty bytes mean the end. Raises OSError."""
    room = socket.CMSG_SPACE(MAX_FDS * _INTS.itemsize)
    data, ancillary, flags, _ = sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
        for fd in fds:
            os.close(fd)
        raise ConnectionAbortedError("message longer than the receiver's room")
    return data, list(fds)
