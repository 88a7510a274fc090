"""Limits of the machine: no descriptor, no process, a read-only disk: told, survived, and over when they are."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import time
from pathlib import Path

import pytest

from stackfile import api
from stackfile.errors import StackfileError
from stackfile.model.container import ExecSpec
from tests.integration.engines import spec
from tests.integration.test_full_disk import TICKS, Engine, engine

pytestmark = pytest.mark.root

CONNECTIONS = 300


def test_limits_of_the_machine() -> None:
    with engine("size=40m,nr_inodes=5000") as on:
        on.run("keeper", *TICKS)
        _no_descriptors(on)
        _no_processes(on)
        on.client.remove("keeper", force=True)
        _read_only(on)


def _no_descriptors(on: Engine) -> None:
    """A client opens more connections than the daemon may have: what is connected is served, what is running runs."""
    client, pid = on.client, on.daemon()
    with api.connect(environ=on.box.settings.environment()) as other:
        other.ping()
        old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) + 20, old[1]))
        sockets = []
        begin = time.monotonic()
        try:
            for _ in range(CONNECTIONS):
                sockets.append(socket.socket(socket.AF_UNIX))
                sockets[-1].settimeout(20)
                sockets[-1].connect(on.box.settings.socket)
            on.until(lambda: _refused(on))
            assert [record.spec.name for record in other.containers()] == ["keeper"]
        finally:
            for each in sockets:
                each.close()
        on.until(lambda: not _refused(on))
        assert on.daemon() == pid
        # asyncio tries as often as its backlog says, and reports each attempt: a thousand times a second
        waited = Path(on.box.settings.run, "daemon.log").read_text().count("a connection waits")
        assert 0 < waited <= 16 * (time.monotonic() - begin + 2)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        client.ping(timeout=60)
        assert on.exec("keeper", "true") == 0


def _refused(on: Engine) -> bool:
    """Whether a container cannot be made for want of descriptors."""
    try:
        on.client.remove(on.client.create(spec("true")))
    except StackfileError as error:
        return error.reason == "limit-reached"
    return False


def _no_processes(on: Engine) -> None:
    client = on.client
    parent = on.box.settings.cgroup_parent
    limit = Path(f"/sys/fs/cgroup/pids/{parent}/engine/pids.max")
    if not limit.exists():
        return  # v2 counts a container's first process in its own group: the engine's limit does not reach it
    assert str(on.box.supervisor) in (limit.parent / "cgroup.procs").read_text().split()
    client.settle()
    identity = client.create(spec("true"))
    limit.write_text("1")
    try:
        for attempt in (
            lambda: client.start(identity),
            lambda: client.exec_detached(client.exec_create("keeper", ExecSpec(argv=("true",)))),
            lambda: client.load_images(iter([on.archive.read_bytes()])),
        ):
            with pytest.raises(StackfileError) as caught:
                attempt()
            assert caught.value.reason == "limit-reached", caught.value
            assert "pids.max" in caught.value.hint
        before = on.daemon()
        os.kill(before, 9)
    finally:
        limit.write_text("max")
    on.until(lambda: on.daemon() not in (0, before) and on.answers())
    client.start(identity)
    assert client.wait(identity).exit_code == 0
    assert on.exec("keeper", "true") == 0
    client.load_images(iter([on.archive.read_bytes()]))


def _read_only(on: Engine) -> None:
    on.box.run("daemon", "stop", "--force")
    subprocess.run(["mount", "-o", "remount,ro", on.disk.path], check=True)
    try:
        said = on.box.run("ps", code=4).stderr
        assert "read-only" in said
        assert str(on.disk.path) in said
        assert "dmesg" in said
    finally:
        subprocess.run(["mount", "-o", "remount,rw", on.disk.path], check=True)
    on.box.run("ps")
