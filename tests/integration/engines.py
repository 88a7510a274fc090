"""An EmbeddedEngine in the test's own process, on a supervisor with shim and resolver but without a daemon."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stackfile.engines.embedded.engine import EmbeddedEngine
from stackfile.model.container import ContainerSpec
from stackfile.model.stack import ImageResource, Step
from stackfile.provider.engine import LogQuery
from stackfile.settings import Settings
from tests.conftest import own_settings

_SUPERVISOR = """
import os, sys
from stackfile import settings
from stackfile.kernel.syscalls import PR_SET_CHILD_SUBREAPER, prctl
from stackfile.paths import RunPaths, ensure_private
from stackfile.supervisor.server import Server
given = settings.load()
ensure_private(given.run)
prctl(PR_SET_CHILD_SUBREAPER, 1)
modules = (("shim", "stackfile.runtime.shim"), ("resolver", "stackfile.resolver"))
Server(RunPaths(given.run), lambda word: print(word, flush=True), modules).run()
"""

BUSYBOX = {
    "busybox": ImageResource(
        name="busybox",
        steps=(
            Step(kind="host", programs=("busybox",)),
            Step(kind="run", argv=("busybox", "mkdir", "-p", "/bin", "/data")),
            Step(kind="run", argv=("busybox", "--install", "-s", "/bin")),
            Step(kind="run", argv=("/bin/sh", "-ec", "echo seed > /data/seed; chown -R 7:8 /data; chmod 0750 /data")),
        ),
        tags=("busybox:latest",),
    )
}
"""Busybox with its applets, and a directory of owner 7:8 and mode 0750 to fill volumes from."""


class Roots:
    """Roots, names and helper processes of one test's engine."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
        self.settings: Settings = own_settings(self.directory)
        self.supervisor: subprocess.Popen[str] | None = None

    def start(self) -> None:
        environment = {**os.environ, **self.settings.environment()}
        self.supervisor = subprocess.Popen(
            [sys.executable, "-I", "-c", _SUPERVISOR], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self.supervisor.stdout is not None
        word = self.supervisor.stdout.readline().strip()
        assert word == "ok", f"{word}\n{self.logs()}"

    def stop(self) -> None:
        if self.supervisor is not None:
            self.supervisor.send_signal(signal.SIGTERM)
            self.supervisor.wait(20)
            assert self.supervisor.stdout is not None
            self.supervisor.stdout.close()
            self.supervisor = None

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def logs(self) -> str:
        paths = sorted(Path(self.settings.run).glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in paths)


@asynccontextmanager
async def engine(roots: Roots | None = None) -> AsyncIterator[EmbeddedEngine]:
    """An open engine; at the end its containers are removed and its processes stopped (not with given `roots`)."""
    own = roots or Roots()
    if roots is None:
        own.start()
    made = EmbeddedEngine(own.settings)
    try:
        await made.open()
        try:
            yield made
        finally:
            if roots is None:
                await empty(made)
            await made.close()
    finally:
        if roots is None:
            own.stop()
            own.remove()


async def empty(made: EmbeddedEngine) -> None:
    """Remove every container, network and volume."""
    for container in await made.container_list():
        await made.container_remove(container.id, force=True, volumes=True)
    for network in await made.network_list():
        if network.name != "bridge":
            await made.network_remove(network.id)
    for volume in await made.volume_list():
        await made.volume_remove(volume.name)


async def busybox(made: EmbeddedEngine) -> str:
    """Id of an image with busybox."""
    return (await made.image_build(BUSYBOX, "busybox")).image


def spec(*argv: str, name: str = "", **fields: object) -> ContainerSpec:
    """A container of the busybox image."""
    return ContainerSpec(image="busybox:latest", image_name="busybox", name=name, command=argv, **fields)  # type: ignore[arg-type]


async def run(made: EmbeddedEngine, container: ContainerSpec) -> tuple[int, str]:
    """Run a container to its end: (exit code, output)."""
    identity = await made.container_create(container)
    await made.container_start(identity)
    status = await asyncio.wait_for(made.container_wait(identity), 20)
    output = await logs(made, identity)
    return status.exit_code, output


async def logs(made: EmbeddedEngine, ref: str) -> str:
    data = [chunk.data async for chunk in made.container_logs(ref, LogQuery())]
    return b"".join(data).decode()
