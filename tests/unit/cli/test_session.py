"""The detach keys, and a session over a socket pair."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stackfile.api import Hijacked
from stackfile.cli.session import KeyMatcher, Session, parse_keys, proxied
from stackfile.errors import ActionError, UsageError


@pytest.mark.parametrize(("text", "keys"), [("ctrl-p,ctrl-q", b"\x10\x11"), ("a,ctrl-[", b"a\x1b"), ("", b"")])
def test_keys(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ab", "ctrl-pp", "ü"])
def test_wrong_keys(text: str) -> None:
    with pytest.raises(UsageError):
        parse_keys(text)


def test_a_sequence_is_found_over_reads() -> None:
    matcher = KeyMatcher(b"\x10\x11")
    assert matcher.feed(b"ls\x10") == (b"ls", False)
    assert matcher.feed(b"\x11") == (b"", True)


def test_what_only_begins_a_sequence_is_sent_later() -> None:
    matcher = KeyMatcher(b"\x10\x11")
    assert matcher.feed(b"\x10") == (b"", False)
    assert matcher.feed(b"x") == (b"\x10x", False)
    assert matcher.feed(b"\x10") == (b"", False)
    assert matcher.rest() == b"\x10"


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
        assert Session(stream, stdin=True, resize=lambda rows, columns: None).run() is False
    thread.join()
    assert bytes(received) == b"hello"
    assert capfdbinary.readouterr() == (b"out\n", b"err\n")


def test_detach_keys_end_the_session() -> None:
    ours, theirs = socket.socketpair()
    with standard_input(b"a\x10\x11b"), Hijacked(ours, ours.makefile("rb"), tty=True) as stream:
        assert Session(stream, stdin=True, resize=lambda rows, columns: None).run() is True
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
