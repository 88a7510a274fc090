"""Who does not read what it asked for harms nobody: no container waits for one that only looks on, nor for long for one
that it was started for, and what the daemon keeps for them is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
import re
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stackfile.engines.embedded import holding
from stackfile.errors import ActionError
from stackfile.runtime import logtail
from tests.conftest import CLIENT
from tests.integration.daemons import Served, needs_docker, served
from tests.integration.engines import busybox, engine, spec
from tests.soak.measure import processes

__all__ = ["served"]
pytestmark = pytest.mark.root
PATIENCE = 90
LINE = b"0123456789abcdef" * 16 + b"\n"
ENDLESS = f"yes {LINE[:-1].decode()}"
NOISE = 150_000_000
NOISY = f"echo ready; while [ ! -e /go ]; do sleep 0.1; done; {ENDLESS} | head -c {NOISE}; touch /done; sleep 1000"


def until(condition: Iterator[bool], what: str) -> None:
    """Wait for the first true value."""
    deadline = time.monotonic() + PATIENCE
    for true in condition:
        if true:
            return
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def log_of(served: Served, name: str) -> str:
    return f"{served.box.settings.root}/containers/{served.client.container(name).id}/logs/stdout.log"


def stands(path: str) -> Iterator[bool]:
    """Whether a file, and what takes its place, has not changed for a second and a half."""
    last, since = (0, 0), time.monotonic()
    while True:
        with contextlib.suppress(FileNotFoundError):  # between two names of a rotation
            found = os.stat(path)
            if (found.st_ino, found.st_size) != last:
                last, since = (found.st_ino, found.st_size), time.monotonic()
        yield last != (0, 0) and time.monotonic() > since + 1.5


def kept(pid: int) -> int:
    """Bytes of removed logs that a process keeps on the disk."""
    sizes: dict[int, int] = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if "/logs/stdout.log" in os.readlink(f"/proc/{pid}/fd/{fd}"):
                found = os.stat(f"/proc/{pid}/fd/{fd}")
                sizes[found.st_ino] = 0 if found.st_nlink else found.st_size
    return sum(sizes.values())


def piped(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )


def end(client: subprocess.Popen[bytes]) -> None:
    assert client.stdout is not None
    client.kill()
    client.wait(PATIENCE)
    client.stdout.close()


def resident(pid: int) -> int:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


@needs_docker
def test_stopped_clients_of_every_stream(served: Served) -> None:
    served.docker("run", "-d", "--name", "noisy", "busybox", "sh", "-c", NOISY)
    daemon = processes(served.box)["daemon"]
    descriptors, memory = len(os.listdir(f"/proc/{daemon}/fd")), resident(daemon)
    environment = {**os.environ, **served.box.settings.environment()}
    streams = (["logs", "-f", "noisy"], ["attach", "noisy"], ["stats", "noisy"], ["events"])
    clients = [served.popen(*arguments) for arguments in streams]
    for verb in (["logs", "-f"], ["attach"]):
        command = [*CLIENT, "container", *verb, "noisy"]
        clients.append(piped(command, env=environment))
    followers = [clients[0], clients[4]]
    try:
        for follower in followers:
            assert follower.stdout is not None
            assert follower.stdout.readline() == b"ready\n"
        for client in clients:
            client.send_signal(signal.SIGSTOP)
        served.docker("exec", "noisy", "touch", "/go")
        done = ("exec", "noisy", "test", "-e", "/done")
        until((served.docker(*done, code=None).returncode == 0 for _ in itertools.count()), "it waits for onlookers")
        assert resident(daemon) < memory + 100
        assert kept(daemon) <= logtail.GONE_BYTES + (40 << 20)
        for follower in followers:
            assert follower.stdout is not None
            follower.send_signal(signal.SIGCONT)
            got = 0
            while got < 20_000_000:  # more than its pipe and its socket hold
                part = follower.stdout.read(1 << 20)
                assert part
                assert set(part) <= set(LINE) or b"are missing here" in part
                got += len(part)
    finally:
        for client in clients:
            end(client)
        served.clear()
    until((len(os.listdir(f"/proc/{daemon}/fd")) <= descriptors + 2 for _ in itertools.count()), "open files stay")
    assert kept(daemon) == 0


@needs_docker
def test_a_slow_client_holds_its_container_back_and_gets_everything(served: Served) -> None:
    client = served.popen("run", "--name", "slow", "busybox", "sh", "-c", ENDLESS)
    daemon = processes(served.box)["daemon"]
    try:
        assert client.stdout is not None
        assert client.stdout.read(len(LINE)) == LINE
        log = log_of(served, "slow")
        until(stands(log), "nothing holds the container back")
        assert kept(daemon) < 3 * logtail.GONE_BYTES
        expected = LINE * ((1 << 20) // len(LINE))
        for _ in range(250):
            part = client.stdout.read(len(expected))
            assert part == expected, f"{part[:200]!r} … {part[-200:]!r}"
        end(client)
        size = os.stat(log).st_size
        until((not os.path.exists(log) or os.stat(log).st_size != size for _ in itertools.count()), "it is still held")
    finally:
        end(client)
        served.clear()


def test_a_client_that_stands_still_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "PATIENCE", 2.5)
    monkeypatch.setattr(logtail, "GONE_BYTES", 8 << 20)

    async def wait(condition: Iterator[bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not next(condition):
                await asyncio.sleep(0.1)

    async def scenario() -> None:
        async with engine() as made:
            await busybox(made)
            identity = await made.container_create(spec("sh", "-c", ENDLESS))
            streams = await made.container_attach(identity, stdin=False)
            await made.container_start(identity)
            output = streams.output()
            assert (await anext(output)).data.startswith(LINE)
            log = f"{made.settings.root}/containers/{identity}/logs/stdout.log"
            await wait(stands(log))
            held = os.stat(log).st_size
            await wait(os.path.exists(log) and os.stat(log).st_size != held for _ in itertools.count())
            with pytest.raises(ActionError) as told:
                async for _ in output:
                    pass
            assert told.value.reason == "limit-reached"
            await streams.close()
            await made.container_remove(identity, force=True)

    asyncio.run(scenario())


def test_a_build_does_not_wait_for_a_client_that_does_not_read(served: Served) -> None:
    text = b"FROM busybox\nRUN yes %064d | head -c 30000000; echo the-last\n" % 7
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        found = tarfile.TarInfo("Dockerfile")
        found.size = len(text)
        tar.addfile(found, io.BytesIO(text))
    body = context.getvalue()
    with socket.socket(socket.AF_UNIX) as stalled:
        stalled.connect(served.box.settings.socket)
        head = "POST /build?t=stalled HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-tar\r\n"
        stalled.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        deadline = time.monotonic() + PATIENCE
        while not any("stalled:latest" in tag for image in served.client.images() for tag in image.tags):
            assert time.monotonic() < deadline, served.box.logs()
            time.sleep(0.1)
        stalled.settimeout(PATIENCE)
        answer = bytearray()
        while part := stalled.recv(1 << 20):
            answer += part
    assert b"Successfully tagged" in answer
    (omitted,) = re.findall(rb"\[(\d+) lines of output were not read in time", answer)
    assert answer.count(b"%064d" % 7) + int(omitted) >= 30_000_000 // 65
