"""What the client script makes of a worker's answers, and of none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import stackfile

SCRIPT = str(Path(stackfile.__file__).parent / "client" / "stackfile")
ALONE = 2
"""Exit code of `python -m stackfile` for a verb that it does not have."""

Answer = Callable[[socket.socket], None]


@pytest.fixture
def run_root() -> Iterator[str]:
    """Short enough for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="sf") as name:
        yield name


def serve(run_root: str, answer: Answer) -> threading.Thread:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{run_root}/worker.sock")
    listener.listen()

    def one() -> None:
        with listener, listener.accept()[0] as client:
            _, fds, _, _ = socket.recv_fds(client, 4096, 10)
            for fd in fds:
                os.close(fd)
            answer(client)

    thread = threading.Thread(target=one)
    thread.start()
    return thread


def run(run_root: str, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, "-I", SCRIPT, *arguments],
        env={"STACKFILE_RUN": run_root, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return done.returncode, done.stderr


def says(*messages: bytes) -> Answer:
    def answer(client: socket.socket) -> None:
        for message in messages:
            client.send(message)

    return answer


@pytest.mark.parametrize(
    ("messages", "code", "word"),
    [
        ((b"y", b"x\x07"), 7, ""),
        ((b"y", b"x\x00"), 0, ""),
        ((b"y", b"!\x09"), 137, "signal 9"),
        ((b"y", b"!\x0f"), 143, ""),
        ((b"y",), 4, "not known"),
        ((b"n",), ALONE, "no such verb"),
        ((), ALONE, "no such verb"),
        ((b"what",), ALONE, "no such verb"),
    ],
)
def test_answers(run_root: str, messages: tuple[bytes, ...], code: int, word: str) -> None:
    thread = serve(run_root, says(*messages))
    got, err = run(run_root, "nonesuch")
    thread.join()
    assert got == code, err
    assert word in err
    assert bool(err) == bool(word)


def test_nobody_there(run_root: str) -> None:
    assert run(run_root, "nonesuch")[0] == ALONE
    assert run(run_root + "x" * 200, "nonesuch")[0] == ALONE


def test_what_may_end_the_engine_runs_alone(run_root: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{run_root}/worker.sock")
        listener.listen()
        listener.setblocking(False)
        assert run(run_root, "--json", "daemon", "nonesuch")[0] == ALONE
        with pytest.raises(BlockingIOError):
            listener.accept()
