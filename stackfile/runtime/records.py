"""What the shim writes down in the run root, so that a shim that takes over knows what runs.

RUN/containers/<id>/shim.json         the container and its main process
RUN/containers/<id>/exec-<id>.json    an exec
RUN/containers/<id>/exit-<id>.json    an end that the daemon has not acknowledged ("exit-.json": the main process's)
RUN/containers/<id>/ended.json        the main process's end once it is acknowledged, until the container is released

The files hold no secrets. They are written whole and renamed; the run root is a tmpfs, so nothing is synced. Writing
raises OSError where that has no room.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from stackfile.runtime.instructions import CgroupHandle, Instructions, Logs


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRow:
    """A container as a new shim needs it."""

    container: str
    run_dir: str
    pid: int
    start_time: int
    tty: bool
    stdin_open: bool
    logs: Logs
    cgroup: CgroupHandle

    @staticmethod
    def of(given: Instructions, pid: int, start_time: int) -> ContainerRow:
        return ContainerRow(
            container=given.container,
            run_dir=given.run_dir,
            pid=pid,
            start_time=start_time,
            tty=given.process.tty,
            stdin_open=given.stdin_open,
            logs=given.logs,
            cgroup=given.cgroup,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRow:
    exec_id: str
    pid: int
    start_time: int
    tty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitRow:
    """As shim_client.Exit."""

    container: str
    exec_id: str
    pid: int
    status: int
    known: bool
    reason: str
    time_ns: int
    oom: bool


def write_container(row: ContainerRow) -> None:
    _write(f"{row.run_dir}/shim.json", asdict(row))


def write_exec(run_dir: str, row: ExecRow) -> None:
    _write(f"{run_dir}/exec-{row.exec_id}.json", asdict(row))


def write_exit(run_dir: str, row: ExitRow) -> None:
    _write(f"{run_dir}/exit-{row.exec_id}.json", asdict(row))


def remove_exec(run_dir: str, exec_id: str) -> None:
    """An exec whose end is acknowledged."""
    _remove(f"{run_dir}/exec-{exec_id}.json")
    _remove(f"{run_dir}/exit-{exec_id}.json")


def keep_end(run_dir: str) -> None:
    """The main process's end is acknowledged: do not send it again, but know it."""
    try:
        os.rename(f"{run_dir}/exit-.json", f"{run_dir}/ended.json")
    except FileNotFoundError:
        pass  # acknowledged before


def remove_all(run_dir: str) -> None:
    """Everything of a container that is released."""
    for name in _names(run_dir):
        if name in ("shim.json", "ended.json") or name.startswith(("exec-", "exit-")):
            _remove(f"{run_dir}/{name}")


@dataclass(frozen=True, slots=True)
class Found:
    """What was written about a container."""

    container: ContainerRow
    execs: list[ExecRow]
    exits: list[ExitRow]
    """Not acknowledged."""
    ended: ExitRow | None
    """The main process's, acknowledged."""


def read_container(run_dir: str) -> Found | None:
    """None when there is nothing in `run_dir`, or half of it."""
    plain = _read(f"{run_dir}/shim.json")
    if plain is None:
        return None
    plain["logs"] = Logs(**plain["logs"])
    group = plain["cgroup"]
    views = tuple((name, options) for name, options in group["views"])
    plain["cgroup"] = CgroupHandle(version=group["version"], paths=tuple(group["paths"]), views=views)
    rows = {name: _read(f"{run_dir}/{name}") for name in _names(run_dir) if name.startswith(("exec-", "exit-"))}
    execs = [ExecRow(**row) for name, row in rows.items() if row and name.startswith("exec-")]
    exits = [ExitRow(**row) for name, row in rows.items() if row and name.startswith("exit-")]
    ended = _read(f"{run_dir}/ended.json")
    return Found(ContainerRow(**plain), execs, exits, ExitRow(**ended) if ended else None)


def _names(run_dir: str) -> list[str]:
    try:
        return os.listdir(run_dir)
    except FileNotFoundError:
        return []


def _write(path: str, plain: dict[str, Any]) -> None:
    temporary = f"{path}.new"
    data = json.dumps(plain).encode()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        os.rename(temporary, path)
    except OSError as error:
        os.unlink(temporary)
        error.filename = path
        raise
    finally:
        os.close(fd)


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            plain: dict[str, Any] = json.load(file)
            return plain
    except (FileNotFoundError, ValueError):
        return None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
