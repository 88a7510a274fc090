"""The verbs around a stack: run, scale, pause, port, stats, top, cp, wait, objects, system; as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Box, own_settings

pytestmark = pytest.mark.root

STACK = """name: demo
images:
  base:
    from: scratch
    steps:
      - host: {programs: [sh, sleep, cat, env, ls, touch, id, mkdir]}
services:
  web:
    image: base
    command: [sh, -c, "echo ready; sleep 1000"]
    environment: {COLOUR: green}
    ports: ["127.0.0.1:@PORT@:80"]
    volumes: ["data:/data"]
    depends_on: [store]
    stop_grace_period: 0s
    mem_limit: 64m
  store:
    image: base
    command: [sleep, "1000"]
    stop_grace_period: 0s
  job:
    image: base
    command: [sh, -c, "exit 3"]
    profiles: [extra]
volumes:
  data: {}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Demo(Box):
    """A box with the stack in its directory."""

    port = 0

    def prepare(self) -> None:
        self.port = free_port()
        self.stack(STACK.replace("@PORT@", str(self.port)))


@pytest.fixture(scope="module")
def engine() -> Iterator[Demo]:
    """One engine for all tests of the module that do not end it."""
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    (directory / "work").mkdir()
    made = Demo(own_settings(directory), directory / "work")
    made.prepare()
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def demo(engine: Demo) -> Iterator[Demo]:
    yield engine
    engine.run("down", "-v")


def test_run_brings_up_what_the_service_needs_and_no_more(demo: Demo) -> None:
    done = demo.run(
        "run", "--rm", "-e", "X=1", "web", "sh", "-c", "echo $COLOUR $X; id -u; echo err >&2; exit 5", code=5
    )
    assert done.stdout == "green 1\n0\n"
    assert "err\n" in done.stderr
    assert [item["service"] for item in demo.containers()] == ["store"]
    assert demo.run("run", "--rm", "-u", "7", "-w", "/data", "--no-deps", "web", "sh", "-c", "id -u; pwd").stdout == (
        "7\n/data\n"
    )
    # The command of the service where none is given; published ports only when asked for.
    name = demo.run("run", "-d", "--name", "mine", "-P", "web").stdout.strip()
    assert name == "mine"
    shown = demo.json("container", "inspect", "mine")[0]
    assert [port["published"] for port in shown["published"]] == [demo.port]
    assert shown["spec"]["labels"]["com.docker.compose.oneoff"] == "True"
    assert "ready" in demo.run("container", "logs", "mine").stdout
    demo.run("container", "rm", "-f", "mine")
    assert demo.run("run", "-T", "--entrypoint", "cat", "web", stdin="typed").stdout == "typed"
    assert demo.run("run", "--rm", "web", "no-such-program", code=127).stderr.startswith("error: ")
    assert demo.run("run", "nothing", code=125).returncode == 125
    # A one-off is the project's: down takes it along.
    demo.run("down", "-v")
    assert demo.json("container", "ls", "-a") == []


def test_the_containers_of_a_stack(demo: Demo, tmp_path: Path) -> None:
    demo.run("up")
    assert demo.run("port", "web", "80").stdout == f"127.0.0.1:{demo.port}\n"
    assert demo.run("port", "web", "81", code=1).stderr
    assert "sleep 1000" in demo.run("top", "store").stdout
    rows = demo.json("stats", "--no-stream")
    assert {row["name"] for row in rows} == {"web-1", "store-1"}
    assert next(row for row in rows if row["name"] == "web-1")["memory_limit"] == 64 << 20
    assert demo.run("container", "stats", "demo-web-1").stdout.splitlines()[0].startswith("NAME")
    demo.run("pause", "web")
    assert {item["state"] for item in demo.containers()} == {"paused", "running"}
    demo.run("unpause")
    assert {item["state"] for item in demo.containers()} == {"running"}
    before = {item["name"]: item["id"] for item in demo.containers()}
    demo.run("scale", "store=3")
    after = {item["name"]: item["id"] for item in demo.containers()}
    assert len(after) == 4
    assert before.items() <= after.items()
    demo.run("scale", "store=1", "web=1")
    assert {item["name"]: item["id"] for item in demo.containers()} == before
    demo.run("scale", "store", code=2)
    _copies(demo, tmp_path)
    assert demo.run("container", "diff", "demo-web-1").stdout
    names = demo.run("exec", "-T", "web", "env").stdout
    assert "COLOUR=green" in names


def _copies(demo: Demo, tmp_path: Path) -> None:
    source = tmp_path / "dir"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_text("hello")
    os.symlink("file", source / "deep/link")
    demo.run("cp", str(source), "web:/new")
    assert demo.run("exec", "-T", "web", "cat", "/new/deep/link").stdout == "hello"
    demo.run("cp", f"{source}/.", "web:/data")
    demo.run("cp", "web:/data/deep/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "hello"
    demo.run("cp", "web:/new", str(tmp_path / "copy"))
    assert os.readlink(tmp_path / "copy/deep/link") == "file"
    demo.run("container", "cp", "demo-web-1:/new/deep/.", str(tmp_path))
    assert (tmp_path / "file").read_text() == "hello"
    demo.run("cp", "-L", "web:/new/deep/link", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "hello"
    for bad in (("a", "b"), ("web:/a", "web:/b"), ("nothing-here", "web:/")):
        demo.run("cp", *bad, code=2)
    demo.run("cp", "web:/nothing", str(tmp_path), code=1)


def test_wait_gives_the_code(demo: Demo) -> None:
    demo.run("--profile", "extra", "up", "-d", "job", code=None)
    assert demo.run("wait", "job", code=3).stdout == "job-1 exited with 3\n"


def test_objects_and_the_machine(demo: Demo, tmp_path: Path) -> None:
    demo.run("up", "store", "web")
    project = {"name": "demo_data", "project": "demo", "used_by": ["demo-web-1"]}
    assert project.items() <= demo.json("volume", "ls")[0].items()
    assert demo.json("volumes")[0]["name"] == "demo_data"
    assert demo.json("volume", "inspect", "demo_data")[0]["name"] == "demo_data"
    assert demo.run("volume", "rm", "demo_data", code=1).stderr
    assert {"bridge", "host", "none", "demo_default"} == {item["name"] for item in demo.json("network", "ls")}
    assert demo.json("network", "inspect", "demo_default")[0]["Name"] == "demo_default"
    assert demo.run("network", "rm", "demo_default", code=1).stderr
    image = next(item["Image"] for item in _docker_ps(demo))
    assert image == "demo/base"
    assert demo.run("container", "run", "--rm", image, "sh", "-c", "echo found").stdout == "found\n"
    demo.run("system", "settle")
    kinds = {row["kind"]: row for row in demo.json("system", "df")}
    assert (kinds["volumes"]["count"], kinds["volumes"]["active"]) == (1, 1)
    demo.run("down")
    demo.run("container", "prune", "-y")
    assert demo.run("volume", "prune", "-a", code=5).stderr
    assert demo.json("volume", "prune", "-a", "-y")["removed"] == ["demo_data"]
    demo.run("container", "run", "--name", "one", "demo/base", "sh", "-c", "echo x > /etc/x")
    assert demo.run("system", "prune", code=5).stderr
    gone = demo.json("system", "prune", "-y", "-a")
    assert len(gone["containers"]) == 1
    assert gone["images"]
    assert demo.json("images") == []


def _docker_ps(demo: Demo) -> list[dict[str, str]]:
    from stackfile import api

    with api.connect(environ=demo.settings.environment()) as client:
        rows: list[dict[str, str]] = client.docker("GET", "containers", "json")
        return rows


def test_reset_gives_the_machine_back(box: Box) -> None:
    demo = Demo(box.settings, box.directory)
    demo.prepare()
    demo.run("up", "store")
    assert demo.run("system", "reset", code=5).stderr
    demo.run("system", "reset", "-y")
    assert not os.path.exists(demo.settings.root)
    assert not os.path.exists(demo.settings.run)
    assert list(demo._left()) == []
    assert demo.run("system", "reset", "-y").stdout == "There is nothing to reset.\n"


def test_events_since_a_moment_and_of_a_service(demo: Demo) -> None:
    demo.run("up", "web")
    lines = [
        json.loads(line) for line in demo.run("--json", "events", "--since", "5m", "--no-follow").stdout.splitlines()
    ]
    assert {"create", "start"} <= {line["action"] for line in lines if line["kind"] == "container"}
    text = demo.run("--json", "events", "--since", "5m", "--until", "0s", "web").stdout
    services = {json.loads(line)["attributes"]["com.docker.compose.service"] for line in text.splitlines()}
    assert services == {"web"}
    assert demo.run("events", "--since", "2040-01-01T00:00:00Z", "--no-follow").stdout == ""
    assert demo.run("events", "--since", "soon", code=2).stderr
    assert "ready" in demo.run("logs", "--since", "5m", "web").stdout
    assert demo.run("logs", "--since", "2040-01-01", "web").stdout == ""


def test_install(box: Box, tmp_path: Path) -> None:
    text = box.run("daemon", "install", "--group", "root", "--dry-run").stdout
    assert "ExecStart=" in text
    assert "Environment=STACKFILE_SOCKET_GROUP=root" in text
    assert box.run("daemon", "install", "--group", "no-such-group-here", code=2).stderr
    box.run("daemon", "install", "--directory", str(tmp_path))
    unit = tmp_path / "stackfile.service"
    assert f"PIDFile={box.settings.run}/lock" in unit.read_text()
    box.run("daemon", "uninstall", "--directory", str(tmp_path))
    assert not unit.exists()


def test_a_group_may_use_the_socket(box: Box) -> None:
    box.environment["STACKFILE_SOCKET_GROUP"] = "daemon"
    box.run("daemon", "start")
    script = "import os, sys; os.setgroups([]); os.setgid(1); os.setuid(65534); os.execv(sys.argv[1], sys.argv[1:])"
    run = ["-c", script]
    environment = {**os.environ, **box.settings.environment()}
    os.chmod(box.directory.parent, 0o755)
    argv = [sys.executable, *run, "/usr/bin/python3", "-c", _PING, box.settings.socket]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    assert "200 OK" in done.stdout, done.stderr


_PING = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(b"GET /_ping HTTP/1.0\\r\\n\\r\\n")
print(sock.recv(200).decode())
"""
