"""The resolver of a running engine is killed: its successor serves the same containers."""

from __future__ import annotations

import os
import signal
import time

import pytest

from stackfile.supervisor.client import Supervisor
from tests.conftest import Box
from tests.integration import quickstart

pytestmark = pytest.mark.root


def pid_of(box: Box, process: str) -> int:
    """Pid of one of the engine's processes, as its supervisor says; 0 while it is away."""
    supervisor = Supervisor(f"{box.settings.run}/supervisor.sock")
    try:
        return supervisor.status()[process].pid
    finally:
        supervisor.close()


def test_names_resolve_after_the_resolver_was_killed(box: Box) -> None:
    quickstart.install(box)
    box.run("up")
    look_up = ("exec", "-T", "store", "python3", "-c", "import socket; print(socket.gethostbyname('store'))")
    address = box.run(*look_up).stdout
    killed = pid_of(box, "resolver")
    os.kill(killed, signal.SIGKILL)
    assert box.run(*look_up).stdout == address
    assert pid_of(box, "resolver") not in (0, killed)


def test_names_resolve_after_the_daemon_was_killed(box: Box) -> None:
    quickstart.install(box)
    box.run("up")
    before = pid_of(box, "resolver")
    os.kill(pid_of(box, "daemon"), signal.SIGKILL)
    time.sleep(0.1)
    look_up = ("exec", "-T", "store", "python3", "-c", "import socket; print(len(socket.gethostbyname_ex('web')[2]))")
    assert box.run(*look_up).stdout == "2\n"
    assert pid_of(box, "resolver") == before
