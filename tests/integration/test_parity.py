"""The same containers on Debian's dockerd and on ours: what Docker's client and API show of them is the same."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import peers
from tests.conftest import Box, own_settings
from tests.parity import Rules

pytestmark = [pytest.mark.root, pytest.mark.peer]

# Values that are measurements of a moment or facts of a run; their keys and types must agree.
TYPES = (
    "*.Created", "*.CreatedAt", "*.RunningFor", "*.Status", "*.State.Pid", "*.State.Health.Log*",
    "info.NFd", "info.NGoroutines", "info.ID",
    "stats.*", "top.Processes[][]", "docker images[].CreatedSince", "docker ps[].Mounts",
)  # fmt: skip

# What differs, and why that is right.
DIFFERENT = {
    "*.CgroupnsMode": "every container has a cgroup namespace, on v1 too; dockerd has none there",
    "*.HostConfig.Runtime": "containers are run by our own runtime, not by runc",
    "info.DefaultRuntime": "containers are run by our own runtime, not by runc",
    "info.Runtimes*": "containers are run by our own runtime, not by runc",
    "info.ContainerdCommit*": "there is no containerd",
    "info.RuncCommit*": "there is no runc",
    "info.InitBinary": "`--init` is done by the forked child itself, unless the settings name a program",
    "info.KernelMemory*": "limits that kernels from 5.4 on have not; Docker dropped them as well",
    "info.OomKillDisable": "not offered",
    "info.LiveRestoreEnabled": "containers outlive the daemon, always",
    "info.Plugins.Log": "one log format, which stands for json-file",
    "info.Plugins.Network": "bridge, host and null only",
    "info.ServerVersion": "version of the engine",
    "version.ApiVersion": "one above that of the peer: from 1.42 on clients send the size of a terminal at create",
    "version.BuildTime": "not built",
    "version.GitCommit": "not built",
    "version.GoVersion": "not Go",
    "version.Components": "parts of the engine: no containerd, runc, docker-init",
    "version.Platform.Name": "name of the engine, which `docker version` prints",
    "version.Version": "version of the engine",
    "*.IPPrefixLen": "networks are /24 of the engine's address pool, so that many fit; Docker's are /16",
    "*.IPv4Address": "networks are /24 of the engine's address pool",
    "*.IPAM.Config[].Subnet": "networks are /24 of the engine's address pool",
    "*.IPAM.Config[].Gateway": "shown for the default network too, as newer dockerd does",
    "*.com.docker.network.bridge.name": "bridges are named by engine and network, so that engines live side by side",
    "*.SandboxKey": "a network namespace is held by descriptor, not by a mounted file: named by /proc while it runs",
    "inspect ended.HostnamePath": "the files of a container lie in the run root while it runs",
    "inspect ended.HostsPath": "the files of a container lie in the run root while it runs",
    "inspect ended.ResolvConfPath": "the files of a container lie in the run root while it runs",
    "*Size": "sizes of images are those of their layers as tars, padding included; Docker adds up files",
    "*SizeRootFs": "sizes of images are those of their layers as tars",
    "*.DockerVersion": "not built by Docker",
    "*.GraphDriver.Data.MergedDir": "an image is never mounted as such",
    "*.GraphDriver.Data.WorkDir": "an image is never mounted as such",
    "committed.GraphDriver.Data.LowerDir": "a layer more, see committed.RootFS.Layers",
    "committed.RootFS.Layers": "mount points that the image lacks (/etc, /dev) are changes",
    "committed.Container": "an OCI image config does not say of which container it was made",
    "committed.ContainerConfig.*": "an OCI image config does not say of which container it was made",
    "committed.Config.AttachStd*": "of the container, without meaning for an image",
    "committed.Config.Hostname": "of the container, without meaning for an image",
    "committed.Config.Image": "of the container, without meaning for an image",
    "stats.memory_stats.stats.*shmem": "memory.stat as the kernel gives it; containerd knows fewer lines",
    "stats.memory_stats.stats.*swap*": "memory.stat as the kernel gives it; containerd knows fewer lines",
    "stats.memory_stats.stats.*workingset*": "memory.stat as the kernel gives it; containerd knows fewer lines",
    "*[].Mounts[].Source": "the list of dockerd forgets where anonymous volumes lie, its inspect does not",
    "error.error": "our error, with reason, cause and hint, beside Docker's message",
}  # fmt: skip

SETUP = (
    ("network", "create", "--label", "a=b", "net"),
    ("volume", "create", "--label", "a=b", "vol"),
    (
        "run", "-d", "--name", "same", "--network", "net", "--network-alias", "alias", "-p", "127.0.0.1:18321:80",
        "-p", "127.0.0.1:18322:81/udp", "-p", "18323:82", "-v", "vol:/data", "-v", "/usr/share:/host:ro",
        "-v", "/anonymous",
        "-e", "A=b", "-l", "k=v", "-m", "64m", "--cpus", "0.5", "--pids-limit", "50", "--restart", "on-failure:3",
        "--health-cmd", "true", "--health-interval", "1s", "--stop-signal", "SIGINT", "--stop-timeout", "3",
        "--tmpfs", "/scratch:size=1m", "--add-host", "there:10.1.2.3", "--dns", "10.9.8.7", "--cap-add", "NET_ADMIN",
        "--cap-drop", "CHOWN", "--ulimit", "nofile=100:200", "-w", "/data", "-u", "0:0",
        "busybox", "sh", "-c", "echo out; echo err >&2; sleep 1000",
    ),
    ("run", "-d", "--name", "plain", "busybox", "sleep", "1000"),
    ("create", "--name", "made", "busybox", "true"),
    ("run", "--name", "ended", "busybox", "sh", "-c", "exit 3"),
    ("run", "-d", "--name", "hosted", "--network", "host", "--read-only", "busybox", "sleep", "1000"),
    (
        "commit", "-m", "text", "-c", 'CMD ["sh"]', "-c", "ENV X=y", "-c", "EXPOSE 80", "-c", "LABEL q=r", "ended",
        "committed:1",
    ),
)  # fmt: skip

RAW = {
    **{f"inspect {name}": f"/containers/{name}/json?size=1" for name in ("same", "plain", "made", "ended", "hosted")},
    "ps": "/containers/json?all=1&size=1",
    "version": "/version",
    "info": "/info",
    "images": "/images/json",
    "image": "/images/busybox/json",
    "history": "/images/busybox/history",
    "committed": "/images/committed:1/json",
    "networks": "/networks",
    **{f"network {name}": f"/networks/{name}" for name in ("net", "bridge", "host", "none")},
    "volumes": "/volumes",
    "volume": "/volumes/vol",
    "df": "/system/df",
    "top": "/containers/plain/top",
    "stats": "/containers/same/stats?stream=0&one-shot=1",
    "error": "/containers/nothing/json",
}
"""Requests whose answers are compared."""

CLI = {
    "docker ps": ("ps", "-a", "--no-trunc"),
    "docker images": ("images", "--no-trunc"),
    "docker network ls": ("network", "ls", "--no-trunc"),
    "docker volume ls": ("volume", "ls"),
}
"""Listings of the client, by its own JSON."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def _get(docker: peers.Docker, path: str) -> Any:
    connection = _Connection(docker.host.removeprefix("unix://"))
    try:
        connection.request("GET", f"/v1.41{path}")
        return json.loads(connection.getresponse().read() or b"null")
    finally:
        connection.close()


def _at_rest(docker: peers.Docker, path: str) -> Any:
    """What is there between two health checks: while one runs Docker lists it among the execs."""
    deadline = time.monotonic() + 20
    while isinstance(found := _get(docker, path), dict) and found.get("ExecIDs"):
        assert time.monotonic() < deadline, found["ExecIDs"]
        time.sleep(0.05)
    return found


def _listing(docker: peers.Docker, *command: str) -> list[Any]:
    text = docker.cli(*command, "--format", "{{json .}}").stdout
    return [json.loads(line) for line in text.splitlines()]


def _prepare(docker: peers.Docker) -> None:
    for command in SETUP:
        done = subprocess.run(
            [peers.need("docker"), "-H", docker.host, *command], capture_output=True, text=True, check=False
        )
        assert done.returncode == (3 if "ended" in command and "run" in command else 0), (command, done.stderr)


def _healthy(docker: peers.Docker) -> None:
    deadline = time.monotonic() + 20
    while _get(docker, "/containers/same/json")["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[peers.Docker, peers.Docker]]:
    """dockerd and our daemon, each with the same containers."""
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    (directory / "work").mkdir()
    box = Box(own_settings(directory), directory / "work")
    try:
        with peers.dockerd(directory / "docker") as theirs:
            box.run("daemon", "start")
            ours = peers.Docker(box.settings.socket)
            subprocess.run(
                [peers.need("docker"), "-H", ours.host, "import", "-", "busybox:latest"],
                input=peers.busybox_tar(), check=True, capture_output=True,
            )  # fmt: skip
            for docker in (theirs, ours):
                _prepare(docker)
                _healthy(docker)
            yield theirs, ours
    finally:
        box.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_same_as_dockerd(pair: tuple[peers.Docker, peers.Docker]) -> None:
    theirs, ours = pair
    rules = Rules(TYPES, DIFFERENT)
    found = [
        line for name, path in RAW.items() for line in rules.compare(name, _at_rest(theirs, path), _at_rest(ours, path))
    ]
    for name, command in CLI.items():
        found += rules.compare(name, _listing(theirs, *command), _listing(ours, *command))
    found += rules.compare("logs", _logs(theirs), _logs(ours))
    assert not found, "\n".join(found)
    assert not rules.unused(), "rules that nothing needs"


def _logs(docker: peers.Docker) -> list[str]:
    done = docker.cli("logs", "-t", "same")
    return [done.stdout.split(" ", 1)[1], done.stderr.split(" ", 1)[1]]


def test_names_of_networks(pair: tuple[peers.Docker, peers.Docker]) -> None:
    _, ours = pair
    names = ours.cli("network", "ls", "--format", "{{.Name}}").stdout.split()
    assert {"bridge", "host", "none"} <= set(names)


def test_files_that_inspect_names_exist(pair: tuple[peers.Docker, peers.Docker]) -> None:
    _, ours = pair
    shown = _get(ours, "/containers/same/json")
    for key in ("ResolvConfPath", "HostnamePath", "HostsPath", "LogPath"):
        assert Path(shown[key]).is_file(), key
    assert Path(shown["NetworkSettings"]["SandboxKey"]).exists()
    data = shown["GraphDriver"]["Data"]
    assert all(Path(path).is_dir() for path in [*data["LowerDir"].split(":"), data["UpperDir"], data["WorkDir"]])
    for mount in shown["Mounts"]:
        assert Path(mount["Source"]).is_dir()


HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"
OUT_OF_MEMORY = {
    "main": ((), f"exec {HOG}"),
    "child": ((), f"{HOG}; exit 0"),
    "policy": (("--restart", "on-failure:1"), f"exec {HOG}"),
}


def test_who_runs_out_of_memory(pair: tuple[peers.Docker, peers.Docker]) -> None:
    theirs, ours = (_out_of_memory(docker) for docker in pair)
    assert theirs == ours


def _out_of_memory(docker: peers.Docker) -> dict[str, Any]:
    """How each ends, and what is told of it."""
    since = time.time()
    for name, (options, command) in OUT_OF_MEMORY.items():
        docker.cli("run", "-d", "--name", name, "-m", "24m", *options, "busybox", "sh", "-c", command)
    found: dict[str, Any] = {}
    for name in OUT_OF_MEMORY:
        shown = _ended(docker, name)
        span = ("--since", f"{since:.6f}", "--until", f"{time.time():.6f}")
        kinds = [f"--filter=event={kind}" for kind in ("start", "oom", "die")]
        form = "{{.Action}} {{.Actor.Attributes.exitCode}}"
        told = docker.cli("events", *span, *kinds, f"--filter=container={name}", "--format", form)
        state = {key: shown["State"][key] for key in ("Status", "OOMKilled", "ExitCode", "Error")}
        found[name] = (state, shown["RestartCount"], sorted(told.stdout.split()))
        docker.cli("rm", name)
    return found


def _ended(docker: peers.Docker, name: str) -> Any:
    deadline = time.monotonic() + 30
    while True:
        shown = _get(docker, f"/containers/{name}/json")
        if shown["State"]["Status"] == "exited" and (name != "policy" or shown["RestartCount"] == 1):
            return shown
        assert time.monotonic() < deadline, shown["State"]
        time.sleep(0.05)
