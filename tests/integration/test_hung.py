"""A daemon that hangs, and one that ends whenever it is started: commands say so, and do not wait for ever."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from stackfile.api import connect, http
from stackfile.errors import EngineError, StackfileError
from tests.conftest import Box
from tests.integration.processes import back, pids, until

pytestmark = pytest.mark.root


def refused(box: Box) -> EngineError:
    """Why the daemon cannot be asked."""
    with (
        closing(connect(environ=box.settings.environment(), start=False, check=False)) as client,
        pytest.raises(EngineError) as caught,
    ):
        client.containers()
    assert caught.value.reason == "engine-unreachable"
    return caught.value


def answers(box: Box) -> bool:
    try:
        with closing(connect(environ=box.settings.environment(), start=False, check=False)) as client:
            return client.ping(timeout=1).pid > 0
    except StackfileError:
        return False


def test_who_does_not_answer_is_told(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SILENCE", 0.3)
    box.run("daemon", "start")
    running = pids(box)

    os.kill(running["daemon"], signal.SIGSTOP)
    try:
        told = refused(box)
        assert f"stopped (pid {running['daemon']})" in told.cause
        assert f"kill -CONT {running['daemon']}" in told.hint
        shown = box.run("daemon", "status", code=4)
        assert "daemon     stopped" in shown.stdout
        assert "stopped" in shown.stderr
    finally:
        os.kill(running["daemon"], signal.SIGCONT)
    until(lambda: answers(box), "an answer", box)

    database = Path(box.settings.root, "state.db")
    database.rename(f"{database}.aside")
    database.write_bytes(b"no database" * 100)
    os.kill(running["daemon"], signal.SIGKILL)

    def looping() -> bool:
        shown = box.run("daemon", "status", "--json", code=4).stdout
        rows = {row["name"]: row for row in json.loads(shown)["processes"]}
        return (rows["daemon"]["state"], rows["shim"]["state"]) == ("crash loop", "running")

    until(looping, "a crash loop", box)
    told = refused(box)
    assert "the daemon ended" in told.cause
    assert "exit code" in told.cause
    assert "daemon.log" in told.hint
    database.unlink()
    Path(f"{database}.aside").rename(database)
    until(lambda: back(box, running, ("daemon",)), "the daemon", box)
    rows = {row["name"]: row for row in box.json("daemon", "status")["processes"]}
    assert rows["daemon"]["restarts"] >= 2
    assert rows["daemon"]["last_end"].startswith("exit code")
