"""Clients: the first ones start one engine together, and files are theirs to read, never the daemon's."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
from dataclasses import replace

import pytest

from tests.conftest import CLIENT, Box
from tests.integration.processes import pids, until

pytestmark = pytest.mark.root

STACK = """name: mine
images:
  app:
    from: scratch
    steps:
      - host: {programs: [busybox]}
      - copy: {source: site, target: /site}
configs:
  notice: {file: notice}
secrets:
  token: {file: token}
services:
  web:
    image: app
    command: [busybox, sleep, "600"]
    stop_signal: SIGKILL
    env_file: variables
    configs: [notice]
    secrets: [token]
"""
FILES = {"stack.yaml": STACK, "site/page": "page", "notice": "notice", "token": "token", "variables": "NAME=value\n"}
SHOW = "busybox cat /site/page /notice /run/secrets/token; echo $NAME"
_HIDE = 'mount -t tmpfs none "$0" && cp -r "$1/." "$0" && cd "$0" && shift && exec "$@"'


def test_what_a_client_sees_is_sent(box: Box) -> None:
    first = [box.popen("ps") for _ in range(4)]
    for process in first:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, f"{out}\n{err}\n{box.logs()}"
    started = pids(box)
    assert started["supervisor"] == box.supervisor

    # Its files lie on a file system of its own.
    source = box.directory.parent / "source"
    for name, text in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    box.program = ("unshare", "--mount", "sh", "-ec", _HIDE, str(box.directory), str(source), *CLIENT)
    box.run("up")
    assert not os.listdir(box.directory)
    assert box.run("exec", "-T", "web", "busybox", "sh", "-c", SHOW).stdout == "pagenoticetokenvalue\n"

    _check_flags(box)
    _check_second_engine(box)
    assert pids(box) == started
    box.program = CLIENT
    box.run("down")


def _check_second_engine(box: Box) -> None:
    """One with another run root would take everything in the state root for its own."""
    other = Box(replace(box.settings, run=f"{box.directory.parent}/other"), box.directory)
    refused = other.run("ps", code=4).stderr
    assert f"another daemon has the state root {box.settings.root}" in refused
    until(lambda: not other.processes(), "the end of its processes", other)
    assert box.containers("mine")[0]["state"] == "running"


def _check_flags(box: Box) -> None:
    """The open files of a caller are the shell's too: they stay blocking while a worker has them."""
    until(lambda: pids(box)["worker"], "a worker", box)
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    command = [*CLIENT, "-p", "mine", "exec", "-T", "web", "busybox", "cat"]
    environment = {**os.environ, **box.settings.environment()}
    with (
        ours,
        subprocess.Popen(command, stdin=theirs.fileno(), stdout=writer, cwd=box.directory, env=environment) as process,
    ):
        ours.sendall(b"line\n")
        assert os.read(reader, 100) == b"line\n"
        for fd in (theirs.fileno(), writer):
            assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(30) == 0
    for fd in (theirs.fileno(), writer):
        assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
    theirs.close()
    os.close(reader)
    os.close(writer)
