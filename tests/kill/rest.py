"""What an engine at rest has: in the kernel, in both roots, in its databases and in its supervisor's hands."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from stackfile.settings import Settings
from stackfile.supervisor.client import Supervisor
from tests.leaks import commands

_HISTORY = {"events", "sqlite_sequence", "meta"}
"""Tables that grow, or say what no command changes."""
_OPAQUE = {"layers", "volumes"}
"""Directories of the state root of which each entry is one thing, whatever is in it."""
_ID = re.compile(r"[0-9a-f]{32,}")


def rest(settings: Settings) -> set[str]:
    """One line for each thing; of things that differ in an id or a random name alone, a line with a number for each.

    Raises EngineError when no supervisor answers.
    """
    lines = [*_kernel(settings), *_run_root(settings), *_state_root(settings), *_rows(settings)]
    with closing(Supervisor(f"{settings.run}/supervisor.sock")) as supervisor:
        lines += [f"held {key}" for key in supervisor.keys("")]
    lines += [f"process {name}" for name in commands(processes(settings))]
    return set(_numbered(lines))


def processes(settings: Settings) -> list[int]:
    """Pids of the engine's own processes (not of containers), whoever their parent is now."""
    mark = f"STACKFILE_RUN={settings.run}".encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.append(int(name))
    return found


def containers(settings: Settings) -> set[int]:
    """Pids of everything in the engine's cgroups, but the engine's own processes."""
    found: set[int] = set()
    for parent in Path("/sys/fs/cgroup").glob(f"*/{settings.cgroup_parent}"):
        for tasks in parent.glob("**/cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(map(int, tasks.read_text().split()))
    return found - set(processes(settings))


def _kernel(settings: Settings) -> Iterator[str]:
    for name in os.listdir("/sys/class/net"):
        if name.startswith(settings.bridge_prefix):
            yield f"link {name}"
    for parent in Path("/sys/fs/cgroup").glob(f"*/{settings.cgroup_parent}"):
        yield from (f"cgroup {directory}" for directory, _, _ in os.walk(parent) if directory != str(parent))
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if f"{settings.root}/" in line or f"{settings.run}/" in line:
            yield f"mount {line.split()[4]}"
    table = subprocess.run(["nft", "list", "table", "inet", settings.nft_table], capture_output=True, text=True)
    rules = re.sub(r"counter packets \d+ bytes \d+", "counter", table.stdout)
    yield from (f"nft {line.strip()}" for line in rules.splitlines())


def _run_root(settings: Settings) -> Iterator[str]:
    # os.walk suffers what goes away meanwhile.
    for directory, _, files in os.walk(settings.run):
        yield from (f"run {directory}/{name}" for name in files if not name.endswith(".log"))


def _state_root(settings: Settings) -> Iterator[str]:
    for directory, folders, files in os.walk(settings.root):
        below = os.path.relpath(directory, settings.root)
        if below in _OPAQUE:
            files, folders[:] = [*files, *folders], []
        yield from (f"state {_ID.sub('*', os.path.join(below, name))}" for name in (*files, *folders))


def _rows(settings: Settings) -> Iterator[str]:
    for path in (f"{settings.root}/state.db", f"{settings.run}/run.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                if table not in _HISTORY:
                    rows = database.execute(f"SELECT * FROM {table}").fetchall()
                    yield from (f"row {table} {_ID.sub('*', str(row[0]))}" for row in rows)


def _numbered(lines: Iterable[str]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for line in lines:
        seen[line] += 1
        yield line if seen[line] == 1 else f"{line} (number {seen[line]})"
