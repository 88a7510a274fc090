"""A full disk: clear errors, nothing half made, what runs runs on, what is removed makes room, and then all works."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stackfile import api
from stackfile.api.client import Client, result_of
from stackfile.errors import StackfileError
from stackfile.model.container import ExecSpec
from stackfile.model.stack import Mount, RestartPolicy, Stack
from stackfile.paths import RunPaths
from stackfile.supervisor.client import Supervisor
from tests.conftest import Box, own_settings
from tests.integration.engines import BUSYBOX, spec

pytestmark = pytest.mark.root

STACK = """name: app
images: {app: {from: busybox, steps: [{run: "echo more > /more"}]}}
secrets: {s: {generate: {length: 20}}}
configs: {c: {content: hello}}
services:
  web: {image: app, command: [sleep, "1000"], secrets: [s], configs: [c], stop_grace_period: 0s}
"""
ENDS_WHEN_TOLD = ("/bin/sh", "-c", "trap 'exit 42' USR1; while :; do sleep 0.05; done")
TICKS = ("/bin/sh", "-c", "while sleep 0.05; do echo tick tick tick tick tick tick; done")
ALWAYS = RestartPolicy(name="always")
WAITS = 60.0


class Disk:
    """A small file system, which can be filled to the last byte or the last inode."""

    def __init__(self, path: str, options: str) -> None:
        self.path = Path(path)
        self.filler = self.path / "filler"
        os.makedirs(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", path], check=True)

    def fill(self) -> None:
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def fill_inodes(self) -> None:
        self.filler.mkdir(exist_ok=True)
        try:
            for number in range(len(os.listdir(self.filler)), 1 << 20):
                (self.filler / str(number)).touch()
        except OSError:
            return

    def empty(self) -> None:
        shutil.rmtree(self.filler) if self.filler.is_dir() else self.filler.unlink(missing_ok=True)

    def files(self) -> set[str]:
        """What is there, but for what containers and layers hold inside and the filler."""
        found: set[str] = set()
        for base, directories, files in os.walk(self.path):
            inside = os.path.relpath(base, self.path).split("/")
            if inside[0] == "filler" or (inside[0] in ("layers", "containers") and len(inside) > 1):
                directories.clear()
                continue
            found.update(f"{'/'.join(inside)}/{name}" for name in (*directories, *files) if name != "filler")
        return found - {"./state.db-wal", "./state.db-shm"}


class Engine:
    """One on a small disk, and what one asks of it."""

    def __init__(self, box: Box, client: Client, disk: Disk) -> None:
        self.box = box
        self.client = client
        self.disk = disk
        result_of(client.build(Stack(name="test", images=BUSYBOX)))
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            for name in ("one", "two"):
                member = tarfile.TarInfo(name)
                member.size = 500_000
                archive.addfile(member, io.BytesIO(os.urandom(member.size)))
        self.tar = content.getvalue()
        assert self.post("/images/create?fromSrc=-&repo=other&tag=1", self.tar)[0] == 200
        self.archive = box.directory / "other.tar"
        self.archive.write_bytes(b"".join(client.save_images(["other:1"])))
        client.remove_image("other:1")
        (box.directory / "Dockerfile").write_text("FROM busybox\nRUN echo x > /x\nCOPY Dockerfile /y\n")
        box.stack(STACK)

    def post(self, path: str, body: bytes = b"", method: str = "POST") -> tuple[int, Any]:
        """Docker's API: status, and what the last line says."""
        connection = http.client.HTTPConnection("docker", timeout=WAITS)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.box.settings.socket)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-tar"})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        return answer.status, json.loads(text.splitlines()[-1]) if text.strip() else None

    def run(self, name: str, *argv: str, **fields: Any) -> str:
        identity = self.client.create(spec(*argv, name=name, **fields))
        self.client.start(identity)
        return identity

    def exec(self, name: str, *argv: str) -> int:
        identity = self.client.exec_create(name, ExecSpec(argv=argv))
        self.client.exec_detached(identity)
        self.until(lambda: not self.client.exec_get(identity).running)
        return self.client.exec_get(identity).exit_code or 0

    def until(self, check: Callable[[], Any]) -> None:
        deadline = time.monotonic() + WAITS
        while not check():
            assert time.monotonic() < deadline, self.box.logs()
            time.sleep(0.02)

    def refuses(self, *attempts: Callable[[], object]) -> None:
        """Each fails for the full disk, says which file of it that was about, and what to do."""
        for attempt in attempts:
            with pytest.raises(StackfileError) as caught:
                attempt()
            error = caught.value
            assert (error.reason, error.exit_code) == ("disk-full", 1), error
            assert error.details["path"].startswith(str(self.disk.path)), error.details
            assert "No space left on device" in error.cause
            assert "prune" in error.hint

    def docker_refuses(self, path: str, body: bytes = b"", method: str = "POST") -> None:
        status, said = self.post(path, body, method)
        text = json.dumps(said)
        assert "No space left on device" in text
        assert '"disk-full"' in text or status == 200, said  # 200: a stream that had begun
        assert status in (200, 500), said

    def command_refuses(self, *argv: str) -> None:
        """A command of ours: exit code 1 and the reason."""
        said = self.box.run(*argv, "--json", code=1).stdout
        reasons = {error["reason"] for error in json.loads(said.splitlines()[-1])["errors"]}
        assert reasons == {"disk-full"}, said

    def log(self, name: str) -> bytes:
        return b"".join(chunk.data for chunk in self.client.logs(name))

    def restart_daemon(self) -> None:
        """Killed, not asked."""
        before = self.daemon()
        assert before > 1, self.box.logs()
        os.kill(before, signal.SIGKILL)
        self.until(lambda: self.daemon() not in (0, before))
        self.until(self.answers)

    def daemon(self) -> int:
        """Its pid; 0 while none runs."""
        supervisor = Supervisor(RunPaths(self.box.settings.run).supervisor)
        try:
            return supervisor.status()["daemon"].pid
        finally:
            supervisor.close()

    def answers(self) -> bool:
        try:
            self.client.ping(timeout=5)
        except StackfileError:
            return False
        return True


@contextmanager
def engine(options: str, root: str = "root") -> Iterator[Engine]:
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    (directory / "work").mkdir()
    box = Box(own_settings(directory), directory / "work")
    disk = Disk(getattr(box.settings, root), options)
    client = api.connect(environ=box.settings.environment())
    try:
        made = Engine(box, client, disk)
        yield made
        disk.empty()
        for record in client.containers():
            client.remove(record.id, force=True, volumes=True)
    finally:
        disk.empty()
        client.close()
        box.close()
        subprocess.run(["umount", "-l", disk.path], check=True)
        shutil.rmtree(directory, ignore_errors=True)


def test_a_full_state_root() -> None:
    with engine("size=40m,nr_inodes=5000") as on:
        client = on.client
        on.run("keeper", *TICKS)
        on.run("ends", *ENDS_WHEN_TOLD)
        on.run("again", *ENDS_WHEN_TOLD, restart=ALWAYS)
        for name in ("old", "older"):
            on.run(name, "true", mounts=(Mount(type="volume", source=f"{name}-data", target="/data"),))
        on.until(lambda: client.container("older").state.status == "exited")
        client.settle()
        before = on.disk.files()

        # without inodes
        on.disk.fill_inodes()
        _refused(on)
        assert on.disk.files() == before
        assert on.exec("keeper", "true") == 0
        client.remove("older")
        on.disk.fill_inodes()
        client.remove_volume("older-data")
        on.disk.empty()
        before = on.disk.files()

        # without bytes
        on.disk.fill()
        _refused(on)
        on.command_refuses("up")
        on.command_refuses("image", "load", str(on.archive))
        assert on.disk.files() == before
        _runs_on(on)
        on.until(lambda: b"bytes of output are missing here" in on.log("keeper"))

        # removing works as long as there is something to remove, also for an engine that began on a full disk
        on.disk.fill()
        client.remove("ends")
        on.disk.fill()
        on.box.run("down")
        status, said = on.post("/build/prune")
        assert (status, said["SpaceReclaimed"]) == (200, 0)
        on.box.run("system", "prune", "-f")
        client.remove_volume("old-data")
        assert {record.spec.name for record in client.containers()} == {"keeper", "again"}

        # and with space again all is as ever
        on.disk.empty()
        on.box.run("up")
        ticks = on.log("keeper").count(b"\n")
        on.until(lambda: on.log("keeper").count(b"\n") > ticks)
        client.load_images(iter([on.archive.read_bytes()]))
        on.box.run("down", "-v")
        on.box.run("system", "fsck")


def _refused(on: Engine) -> None:
    """What needs room in the state root."""
    client = on.client
    on.refuses(
        lambda: client.load_images(iter([on.archive.read_bytes()])),
        lambda: client.create(spec("true")),
        lambda: client.create(spec("true", mounts=(Mount(type="volume", source="new", target="/x"),))),
    )
    with pytest.raises(StackfileError) as caught:
        client.write_archive("keeper", "/", iter([on.tar]))
    assert caught.value.reason == "disk-full"
    on.docker_refuses("/images/load?quiet=1", on.archive.read_bytes())
    on.docker_refuses("/images/create?fromSrc=-&repo=another", on.tar)
    on.docker_refuses("/commit?container=keeper&repo=committed")
    on.docker_refuses("/containers/create", b'{"Image": "busybox", "Cmd": ["true"]}')


def _runs_on(on: Engine) -> None:
    """What runs runs on, ends are known, policies hold, and all of it over a killed daemon too."""
    client = on.client
    client.kill("ends", "SIGUSR1")
    client.kill("again", "SIGUSR1")
    assert client.wait("ends").exit_code == 42
    on.until(lambda: client.container("again").state.restart_count == 1)
    on.restart_daemon()
    states = {record.spec.name: record.state for record in client.containers()}
    assert (states["ends"].status, states["ends"].exit_code) == ("exited", 42)
    assert states["keeper"].status == "running"


def test_a_full_run_root() -> None:
    with engine("size=9m", "run") as on:
        client = on.client
        on.run("keeper", *TICKS)
        on.run("ends", *ENDS_WHEN_TOLD)
        client.settle()
        on.disk.fill()
        identity = client.create(spec("sleep", "100", name="new"))
        on.refuses(
            lambda: client.start(identity),
            lambda: client.exec_detached(client.exec_create("keeper", ExecSpec(argv=("true",)))),
        )
        on.command_refuses("up")
        client.kill("ends", "SIGUSR1")
        assert client.wait("ends").exit_code == 42
        on.restart_daemon()
        states = {record.spec.name: record.state for record in client.containers()}
        assert (states["ends"].status, states["ends"].exit_code) == ("exited", 42)
        assert states["keeper"].status == "running"
        ticks = on.log("keeper").count(b"\n")
        on.until(lambda: on.log("keeper").count(b"\n") > ticks)
        client.remove("ends")
        on.box.run("down")
        on.disk.empty()
        client.start(identity)
        assert on.exec("keeper", "true") == 0
        on.box.run("system", "fsck")
