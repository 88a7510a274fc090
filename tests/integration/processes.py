"""The engine's own processes: who they are, whether they are back."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from stackfile.api import connect
from stackfile.errors import StackfileError
from stackfile.supervisor.client import Supervisor
from tests.conftest import Box


def until(check: Callable[[], Any], what: str, box: Box, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"{what}\n{box.logs()}"
        time.sleep(0.02)
    return found


def supervisor(box: Box) -> closing[Supervisor]:
    return closing(Supervisor(f"{box.settings.run}/supervisor.sock"))


def pids(box: Box) -> dict[str, int]:
    with supervisor(box) as line:
        return {name: row.pid for name, row in line.status().items()}


def back(box: Box, old: dict[str, int], victims: tuple[str, ...]) -> bool:
    """Whether others run in place of the victims, and the daemon answers."""
    try:
        now = pids(box)
        with closing(connect(f"unix://{box.settings.socket}", start=False)) as client:
            answers = client.ping().pid == now["daemon"]
        return answers and all(now[name] not in (0, old[name]) for name in victims)
    except (StackfileError, OSError, KeyError):
        return False
