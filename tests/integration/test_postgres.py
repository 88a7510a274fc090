"""examples/postgres: PostgreSQL packed from this machine's package, with a client that writes and reads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Box
from tests.integration.quickstart import free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "postgres"
VERSIONS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not VERSIONS and "CI" not in os.environ, reason="postgresql is not installed"),
]


def test_data_is_written_read_and_kept(box: Box) -> None:
    shutil.copytree(EXAMPLE, box.directory, dirs_exist_ok=True)
    version = VERSIONS[-1].parts[-3]
    options = ("--set-string", f"version={version}", "--set", f"port={free_port()}")
    box.run(*options, "up")
    assert box.run(*options, "logs", "--no-log-prefix", "client").stdout == "visits: 1\n"
    assert box.run(*options, "exec", "-T", "db", "client").stdout.splitlines()[-1] == "visits: 2"
    assert "up to date" in box.run(*options, "up").stdout
    refused = box.run(*options, "exec", "-T", "db", "psql", "-w", "-c", "SELECT 1", code=2)
    assert "password" in refused.stderr
    box.run(*options, "down")
    box.run(*options, "up")
    assert box.run(*options, "logs", "--no-log-prefix", "client").stdout == "visits: 3\n"
    log = box.run(*options, "logs", "--no-log-prefix", "db").stdout
    assert "database system was shut down" in log
