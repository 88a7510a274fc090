"""A session over a socket pair."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stackfile.api import Hijacked
from stackfile.cli import terminal
from stackfile.cli.session import Session, proxied
from stackfile.errors import ActionError, EngineError

KEYS = b"\x10\x11"


@contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    """A pipe with `data` as descriptor 0."""
    reader, writer = os.pipe()
    saved = os.dup(0)
    os.dup2(reader, 0)
    os.close(reader)
    os.write(writer, data)
    os.close(writer)
    try:
        yield
    finally:
        os.dup2(saved, 0)
        os.close(saved)


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def test_both_directions_and_half_close(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    ours, theirs = socket.socketpair()
    received = bytearray()

    def process() -> None:
        """Reads stdin to its end, then answers on both streams."""
        while data := theirs.recv(4096):
            received.extend(data)
        theirs.sendall(frame(1, b"out\n") + frame(2, b"err\n"))
        theirs.close()

    thread = threading.Thread(target=process)
    thread.start()
    with standard_input(b"hello"), Hijacked(ours, ours.makefile("rb"), tty=False) as stream:
        assert Session(stream, stdin=True, resize=lambda rows, columns: None, detach_keys=KEYS).run() is False
    thread.join()
    assert bytes(received) == b"hello"
    assert capfdbinary.readouterr() == (b"out\n", b"err\n")


def test_detach_keys_end_the_session() -> None:
    ours, theirs = socket.socketpair()
    with standard_input(b"a\x10\x11b"), Hijacked(ours, ours.makefile("rb"), tty=True) as stream:
        assert Session(stream, stdin=True, resize=lambda rows, columns: None, detach_keys=KEYS).run() is True
    assert theirs.recv(16) in (b"a", b"")
    theirs.close()


def test_signals_are_handed_on() -> None:
    seen: list[str] = []

    def send(name: str) -> None:
        seen.append(name)
        raise ActionError("not-running", "x")

    before = signal.getsignal(signal.SIGINT)
    with proxied(send):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGUSR1)
    assert seen == ["SIGINT", "SIGUSR1"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_daemon_that_is_killed_is_the_end_of_the_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """With input of ours unread on its side the kernel resets the connection."""
    ours, theirs = socket.socketpair()
    ours.sendall(b"unread")
    theirs.sendall(frame(1, b"out") + b"\1\0")
    theirs.close()
    with Hijacked(ours, ours.makefile("rb"), tty=False, framed=True, identity="abc") as stream:
        assert Session(stream, stdin=False, resize=lambda rows, columns: None, detach_keys=KEYS).run() is False
        with pytest.raises(EngineError) as caught:
            stream.status()
    assert caught.value.reason == "engine-unreachable"


def test_sizes_that_change_while_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request at a time, and the last size is told last."""
    size = (30, 100)
    told: list[tuple[int, int]] = []
    under_way = False

    def resize(rows: int, columns: int) -> None:
        nonlocal size, under_way
        assert not under_way
        under_way = True
        if len(told) < 5:
            size = (31 + len(told), 100)
            os.kill(os.getpid(), signal.SIGWINCH)
        told.append((rows, columns))
        under_way = False

    monkeypatch.setattr(terminal, "size", lambda: size)
    ours, theirs = socket.socketpair()
    theirs.close()
    with Hijacked(ours, ours.makefile("rb"), tty=True) as stream:
        assert Session(stream, stdin=False, resize=resize, detach_keys=b"").run() is False
    assert told == [(30, 100), *((31 + number, 100) for number in range(5))]
