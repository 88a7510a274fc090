"""Our command line as a user starts it: the client script of the virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Box

SCRIPT = Path(sys.executable).with_name("stackfile")


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
