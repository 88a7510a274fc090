"""Our command line as a user starts it: the client script of the virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import Box

SCRIPT = Path(sys.executable).with_name("stackfile")
_SOURCE = Path(__file__).parents[2] / "stackfile" / "client" / "stackfile"


def client(box: Box, *args: str) -> None:
    """Run `stackfile ARGS`; any failure stops the benchmark."""
    subprocess.run(
        [SCRIPT, *args],
        cwd=box.directory,
        env={**os.environ, **box.settings.environment(), **box.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )


def warm(box: Box) -> None:
    """Until workers take commands. Fails for an installed script that is not the tree's: it would not reach them."""
    assert SCRIPT.read_bytes() == _SOURCE.read_bytes(), f"{SCRIPT} is another version: install again"
    deadline = time.monotonic() + 10
    while not os.path.exists(f"{box.settings.run}/worker.sock"):
        assert time.monotonic() < deadline, "no worker"
        time.sleep(0.05)
