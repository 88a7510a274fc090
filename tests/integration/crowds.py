"""Commands that run side by side, and what they may leave behind."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from tests import leaks
from tests.conftest import CLIENT, Box

PATIENCE = 90.0
"""Seconds within which any command has to end, however busy the machine is."""


class Command:
    """A command of ours under way, with the job that it follows."""

    def __init__(self, box: Box, directory: Path, *args: str) -> None:
        self.args = args
        self.lines: list[dict[str, Any]] = []
        self.errors = ""
        environment = {**os.environ, **box.settings.environment()}
        self.process = subprocess.Popen(
            [*CLIENT, "--progress", "json", *args],
            cwd=directory,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def end(self) -> int:
        """Its exit code; its output is in `lines` and `errors` then."""
        out, self.errors = self.process.communicate(timeout=PATIENCE)
        self.lines += [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return self.process.returncode

    def until(self, **fields: str) -> dict[str, Any]:
        """The next event with these fields."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))
            if fields.items() <= self.lines[-1].items():
                return self.lines[-1]
        raise AssertionError(f"no {fields}: {self.lines}")

    @property
    def job(self) -> str:
        return next(str(line["id"]) for line in self.lines if line.get("type") == "job")

    @property
    def waited(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("type") == "waiting"]

    @property
    def result(self) -> str:
        """How the job ended."""
        return next((str(line["status"]) for line in self.lines if line.get("type") == "end"), "")


def own(watch: leaks.Watch) -> leaks.Lists:
    """What of the lists other engines on the machine have no part in; workers, which take turns, by their number."""
    lists = watch.take()
    pids = leaks.descendants(watch.processes)
    return {kind: lists[kind] for kind in ("fds", "zombies", "files")} | {"processes": Counter(leaks.commands(pids))}
