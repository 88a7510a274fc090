import select
import socket
from collections.abc import Iterator

import pytest

from stackfile.api.hijacked import Hijacked
from stackfile.errors import EngineError


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    theirs.close()


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def test_frames_arrive_in_pieces(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with Hijacked(ours, ours.makefile("rb"), tty=False) as stream:
        theirs.sendall(frame(1, b"out") + frame(2, b"")[:8] + frame(2, b"err")[:9])
        assert stream.read() == (1, b"out")
        assert stream.read() == (2, b"e")
        theirs.sendall(b"rr")
        theirs.close()
        assert stream.read()[1] + stream.read()[1] == b"rr"
        assert stream.read()[1] == b""


def test_a_tty_is_raw(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with Hijacked(ours, ours.makefile("rb"), tty=True) as stream:
        theirs.sendall(b"\x01\x00")
        assert stream.read() == (1, b"\x01\x00")


def test_pending_sees_what_select_does_not(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with Hijacked(ours, ours.makefile("rb"), tty=False) as stream:
        assert not stream.pending()
        theirs.sendall(frame(1, b"a") + frame(1, b"b"))
        assert stream.read() == (1, b"a")
        assert not select.select([stream], [], [], 0)[0]
        assert stream.pending()
        assert stream.read() == (1, b"b")
        assert not stream.pending()


def test_half_close_lets_output_go_on(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with Hijacked(ours, ours.makefile("rb"), tty=True) as stream:
        stream.send(b"in")
        stream.close_write()
        assert theirs.recv(10) == b"in"
        assert theirs.recv(10) == b""
        theirs.sendall(b"out")
        assert stream.read() == (1, b"out")
        theirs.close()
        stream.close_write()


@pytest.mark.parametrize("tty", [False, True])
def test_a_run_says_how_it_ended(pair: tuple[socket.socket, socket.socket], tty: bool) -> None:
    ours, theirs = pair
    with Hijacked(ours, ours.makefile("rb"), tty=tty, framed=True) as stream:
        theirs.sendall(frame(1, b"out") + frame(4, b'{"exit_code": 7}'))
        assert stream.read() == (1, b"out")
        assert stream.read()[1] == b""
        assert stream.status().exit_code == 7


def test_a_run_that_was_cut_off_has_no_exit_code(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    with Hijacked(ours, ours.makefile("rb"), tty=False, framed=True) as stream:
        theirs.sendall(frame(4, b'{"exit_code": 7}')[:12])
        theirs.close()
        assert stream.read()[1] == b""
        with pytest.raises(EngineError) as caught:
            stream.status()
    assert caught.value.reason == "engine-unreachable"
