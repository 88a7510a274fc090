"""A daemon of a test module's own with a busybox image, the real docker CLI, and our client."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stackfile import api
from stackfile.api.client import Client, result_of
from stackfile.model.stack import Stack
from tests.conftest import Box, own_settings
from tests.integration.engines import BUSYBOX

DOCKER = shutil.which("docker")
needs_docker = pytest.mark.skipif(DOCKER is None, reason="the docker CLI is not installed")


@dataclass
class Served:
    """A running daemon."""

    box: Box
    client: Client

    @property
    def host(self) -> str:
        return f"unix://{self.box.settings.socket}"

    def command(self, *args: str) -> list[str]:
        """argv of the docker CLI against this daemon."""
        assert DOCKER is not None
        return [DOCKER, "-H", self.host, *args]

    def docker(
        self, *args: str, code: int | None = 0, stdin: str | None = None, timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a docker command to its end; its exit code must be `code` (None: any)."""
        done = subprocess.run(
            self.command(*args),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(),
        )
        if code is not None:
            assert done.returncode == code, (
                f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.box.logs()}"
            )
        return done

    def popen(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        """A docker command that goes on in the background."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.STDOUT)
        return subprocess.Popen(self.command(*args), env=self.environment(), **options)

    def environment(self) -> dict[str, str]:
        # No configuration or plugins of the machine's user.
        return {"PATH": os.environ["PATH"], "HOME": str(self.box.directory), "TERM": "xterm"}

    def clear(self) -> None:
        """Remove every container."""
        for record in self.client.containers():
            self.client.remove(record.id, force=True, volumes=True)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    directory = Path(tempfile.mkdtemp(prefix="sf-", dir="/var/tmp"))
    (directory / "work").mkdir()
    box = Box(own_settings(directory), directory / "work")
    client = api.connect(environ=box.settings.environment())
    made = Served(box, client)
    try:
        result_of(client.build(Stack(name="test", images=BUSYBOX)))
        yield made
    finally:
        made.clear()
        client.close()
        box.close()
        shutil.rmtree(directory, ignore_errors=True)
