"""What a process does whose supervisor went before it was ready."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stackfile.supervisor.presence import announce
from tests.conftest import own_settings


def test_readiness_is_told() -> None:
    reader, writer = os.pipe()
    assert announce(writer)
    assert os.read(reader, 100) == b"ok\n"
    assert os.read(reader, 100) == b""
    os.close(reader)
    assert announce(-1)


def test_a_resolver_that_nobody_waits_for_any_more_ends_in_silence(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    settings = own_settings(tmp_path)
    os.makedirs(settings.run)
    command = [sys.executable, "-I", "-m", "stackfile.resolver", "--ready-fd", str(writer)]
    environment = {**os.environ, **settings.environment(), "STACKFILE_LOG_LEVEL": "error"}
    done = subprocess.run(
        command, pass_fds=[writer], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
