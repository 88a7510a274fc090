"""Who does not read what it asked for harms nobody: a container waits for nobody that stands still, and loses nothing
for a client that it was started for and that is only slow.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
import socket
import tarfile
import time
from pathlib import Path

import pytest

from stackfile.engines.embedded import holding
from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.errors import ActionError
from stackfile.runtime import logtail
from tests.integration.daemons import Served, served
from tests.integration.engines import busybox, engine, spec

__all__ = ["served"]
pytestmark = pytest.mark.root
SIZE = 64 << 20
NOISE = f"yes 0123456789abcdef | head -c {SIZE}; touch /done"
DIGEST = hashlib.sha256((b"0123456789abcdef\n" * (SIZE // 17 + 1))[:SIZE]).hexdigest()
PATIENCE = 90


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be kept of rotated files, so that tests need not write hundreds of megabytes."""
    monkeypatch.setattr(logtail, "GONE_BYTES", 8 << 20)


def _deleted_bytes() -> int:
    """Of files that this process, the daemon's place, alone keeps on the disk."""
    size = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            if "/logs/stdout.log" in os.readlink(f"/proc/self/fd/{name}"):
                found = os.stat(f"/proc/self/fd/{name}")
                size += found.st_size if found.st_nlink == 0 else 0
        except OSError:
            continue
    return size


async def _upper(made: EmbeddedEngine, identity: str) -> Path:
    state = (await made.container_get(identity)).state
    return Path(f"/proc/{state.pid}/root")


async def _until_still(path: str) -> None:
    """Until a file, and what takes its place, has not changed for a second."""
    last: tuple[float, int] | None = None
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                found = os.stat(path)
            except FileNotFoundError:  # between two names of a rotation
                await asyncio.sleep(0.01)
                continue
            now = (found.st_mtime, found.st_ino)
            if now == last:
                return
            last = now
            await asyncio.sleep(1)


def test_a_slow_client_holds_its_container_back_and_gets_everything() -> None:
    async def scenario() -> None:
        async with engine() as made:
            await busybox(made)
            identity = await made.container_create(spec("sh", "-c", NOISE + "; sleep 1000"))
            streams = await made.container_attach(identity, stdin=False)
            await made.container_start(identity)
            output = streams.output()
            digest, size = hashlib.sha256(), 0
            first = await anext(output)
            digest.update(first.data)
            size += len(first.data)
            root = await _upper(made, identity)
            await _until_still(f"{made.settings.root}/containers/{identity}/logs/stdout.log")
            assert not (root / "done").exists()
            assert _deleted_bytes() < SIZE - (20 << 20)
            async with asyncio.timeout(PATIENCE):
                while size < SIZE:
                    chunk = await anext(output)
                    digest.update(chunk.data)
                    size += len(chunk.data)
                while not (root / "done").exists():
                    await asyncio.sleep(0.05)
            assert digest.hexdigest() == DIGEST
            await streams.close()
            assert _deleted_bytes() == 0

    asyncio.run(scenario())


def test_a_client_that_stands_still_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "PATIENCE", 2.0)

    async def scenario() -> None:
        async with engine() as made:
            await busybox(made)
            identity = await made.container_create(spec("sh", "-c", NOISE))
            streams = await made.container_attach(identity, stdin=False)
            await made.container_start(identity)
            output = streams.output()
            await anext(output)
            status = await asyncio.wait_for(made.container_wait(identity), PATIENCE)
            assert status.exit_code == 0
            with pytest.raises(ActionError) as told:
                async for _ in output:
                    pass
            assert told.value.reason == "limit-reached"
            await streams.close()
            assert _deleted_bytes() == 0

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
