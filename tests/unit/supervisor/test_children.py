from __future__ import annotations

import time
from pathlib import Path

from stackfile.supervisor.children import Child, rotate


def test_back_off_grows_and_is_forgotten_after_a_while(tmp_path: Path) -> None:
    child = Child("x", "m", str(tmp_path / "log"), str(tmp_path / "x.pid"))
    waits = []
    for _ in range(7):
        child.started = time.monotonic()
        child.ended()
        waits.append(round(child.due - time.monotonic(), 1))
    assert waits == [0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 5.0]
    child.started = time.monotonic() - 11
    child.ended()
    assert child.due - time.monotonic() < 0.01
    assert child.restarts == 8


def test_logs_are_rotated_when_they_are_long(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    rotate(str(log))
    log.write_text("short")
    rotate(str(log))
    assert log.exists()
    with open(log, "wb") as file:
        file.truncate(5_000_001)
    rotate(str(log))
    assert not log.exists()
    assert (tmp_path / "x.log.1").exists()
