"""Builds that are killed at any point leave a store that is right after the next start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from stackfile.images import documents
from stackfile.images.store import ImageStore
from stackfile.model.stack import Step
from tests.unit.build.kit import Workbench, image, open_workbench

pytestmark = pytest.mark.root

STEPS = (Step(kind="host", programs=("sh", "python3")), Step(kind="workdir", text="/app/deep"))

SCRIPT = """
    import sys
    from pathlib import Path
    from tests.unit.build.kit import image, open_workbench
    from tests.integration.test_images import STEPS
    with open_workbench(Path(sys.argv[1])) as bench:
        print("ready", flush=True)
        while True:
            bench.build(image("one", *STEPS), no_cache=True)
            bench.images.remove("test/one")
            print("built", flush=True)
"""


def killed_after(state: Path, seconds: float) -> None:
    """Build and remove over and over in a process of its own, and kill that."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(state)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def check(store: ImageStore) -> None:
    """Every image is whole, and nothing lies about that no image needs."""
    blobs: set[str] = set()
    chains: set[str] = set()
    for record in store.list():
        assert store.lower(record.id)
        blobs |= {record.id, record.manifest, *record.layers}
        chains |= set(documents.chain_ids(record.layers))
    assert set(store.blobs.list()) == blobs
    assert set(store.layers.list()) == chains
    assert os.listdir(store.paths.temporary) == []


def rebuilt(bench: Workbench) -> str:
    return bench.build(image("one", *STEPS)).image


def test_kill_at_any_point(tmp_path: Path) -> None:
    with open_workbench(tmp_path / "reference") as bench:
        expected = rebuilt(bench)
    for step in range(6):
        killed_after(tmp_path / "state", 0.05 + 0.17 * step)
        with open_workbench(tmp_path / "state") as bench:
            check(bench.images)
    with open_workbench(tmp_path / "state") as bench:
        assert rebuilt(bench) == expected
        check(bench.images)
