"""`python -I -m stackfile.engines.embedded.wiping`: take away all of an engine, whatever state it is in.

What `system reset` does when the engine has ended as it should, or cannot any more. Needs no database: things are known
by their marks (process records, cgroups below the parent, names of links and tables, places below the roots). run.db is
read where it can be, for what a setting was before. Prints JSON: a list of what could not be taken away.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stackfile import settings as settings_module
from stackfile.engines.embedded import roots
from stackfile.engines.embedded.journal import RunJournal
from stackfile.errors import StackfileError
from stackfile.kernel.fileflags import unlock
from stackfile.kernel.mounts import mount_points, unmount
from stackfile.kernel.process import is_alive, state
from stackfile.network import sysctl
from stackfile.network.journal import Intent, Journal
from stackfile.network.manager import NetworkManager
from stackfile.paths import RunPaths
from stackfile.runtime import records
from stackfile.settings import Settings
from stackfile.store.run import RunStore
from stackfile.supervisor import record
from stackfile.supervisor.client import Supervisor

_PATIENCE = 10.0
"""Seconds for killed processes to be gone."""
_PAUSE = 0.01
_CHILDREN = ("daemon", "shim", "worker", "resolver")
"""Who brings a supervisor back comes first."""


def wipe(settings: Settings) -> list[str]:
    """What is left, and why; empty when all is gone."""
    left: list[str] = []
    lock = _end_processes(settings, left)
    try:
        _remove_network(settings, left)
        for path in (settings.run, settings.root):
            _unmount_below(path, left)
        for path in (settings.run, settings.root):
            _remove(path, left)
    finally:
        if lock >= 0:
            os.close(lock)
    return left


# ---- processes


def _end_processes(settings: Settings, left: list[str]) -> int:
    """Kill the engine's processes and all containers, and remove their cgroups. Returns the lock that keeps others from
    starting it meanwhile; -1 where there is none.
    """
    paths = RunPaths(settings.run)
    deadline = time.monotonic() + _PATIENCE
    lock = -1
    while True:
        lock = _take(paths.lock) if lock < 0 else lock
        groups = list(_groups(settings.cgroup_parent))
        alive = [*_recorded(paths), *_holder(paths.lock, lock), *_members(groups), *_containers(paths)]
        for pid in alive:
            _kill(pid)
        if not alive and (lock >= 0 or not os.path.exists(paths.lock)):
            break
        if time.monotonic() > deadline:
            left.extend(f"process {pid}: does not end" for pid in sorted(set(alive)))
            break
        time.sleep(_PAUSE)
    for group in groups:
        _remove_group(group, deadline, left)
    return lock


def _take(path: str) -> int:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return -1
    return lock


def _recorded(paths: RunPaths) -> Iterator[int]:
    for name in _CHILDREN:
        found = record.read(paths.record(name))
        if found is not None and is_alive(found.pid, found.started):
            yield found.pid


def _holder(path: str, lock: int) -> Iterator[int]:
    """The supervisor: it has written its pid into the lock that it holds."""
    if lock >= 0:
        return
    try:
        with open(path) as file:
            yield int(file.read())
    except (OSError, ValueError):
        return


def _containers(paths: RunPaths) -> Iterator[int]:
    """Main processes as the shim has written them down, for those that no cgroup has."""
    try:
        names = os.listdir(f"{paths.root}/containers")
    except OSError:
        return
    for name in names:
        try:
            found = records.read_container(paths.container(name))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # of a version that writes them otherwise, or damaged
        if found is not None and is_alive(found.container.pid, found.container.start_time):
            yield found.container.pid


def _groups(parent: str) -> Iterator[str]:
    """Groups of the engine in every hierarchy, inner ones first."""
    with open("/proc/self/mountinfo") as file:
        rows = [line.partition(" - ") for line in file]
    for head, _, kind in rows:
        if kind.startswith("cgroup"):
            top = f"{head.split(' ')[4]}/{parent.strip('/')}"
            yield from (path for path, _, _ in os.walk(top, topdown=False))


def _members(groups: Sequence[str]) -> Iterator[int]:
    for group in groups:
        for name, text in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            if os.path.exists(f"{group}/{name}"):
                _write(f"{group}/{name}", text)
        try:
            with open(f"{group}/cgroup.procs") as file:
                found = [int(line) for line in file]
        except OSError:
            continue  # gone, or threaded: its processes are in the one above
        yield from (pid for pid in found if pid not in (0, os.getpid()) and state(pid) not in ("", "Z", "X"))


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError:
        pass  # the root group has it and does not take it


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has just ended


def _remove_group(path: str, deadline: float, left: list[str]) -> None:
    while True:
        try:
            return os.rmdir(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            # What was killed is in it until it is reaped.
            if time.monotonic() > deadline:
                return left.append(f"cgroup {path}: {error.strerror}")
        time.sleep(_PAUSE)


# ---- the network


class _Forgotten(Journal):
    """In place of a run.db that cannot be read."""

    def begin(self, kind: str, key: str, data: Mapping[str, str]) -> int:
        return 0

    def done(self, id: int) -> None:  # noqa: A002
        pass

    def entries(self) -> Sequence[Intent]:
        return ()


def _remove_network(settings: Settings, left: list[str]) -> None:
    paths = RunPaths(settings.run)
    run, journal = _journal(paths.database)
    manager = NetworkManager(
        prefix=settings.bridge_prefix,
        table=settings.nft_table,
        pool=settings.address_pool,
        pool6=settings.address_pool6,
        supervisor=Supervisor(paths.supervisor),
        journal=journal,
    )
    try:
        had_links = bool(manager.links())
        manager.teardown()
        if run is None and had_links and sysctl.read(sysctl.FORWARD) == "1":
            left.append("net.ipv4.ip_forward: stays 1, as what it was before cannot be read")
    except StackfileError as error:
        left.append(str(error))
    finally:
        manager.close()
        if run is not None:
            run.close()


def _journal(path: str) -> tuple[RunStore | None, Journal]:
    if not os.path.exists(path):
        return None, _Forgotten()
    try:
        run = RunStore(path, roots.boot_id())
        journal = RunJournal(run)
        journal.entries()
    except (StackfileError, sqlite3.Error):
        return None, _Forgotten()
    return run, journal


# ---- files


def _unmount_below(root: str, left: list[str]) -> None:
    """What is mounted below a root, and not the root itself, which may be a disk of its own."""
    for point in reversed(mount_points()):
        if point.startswith(f"{os.path.realpath(root)}/"):
            try:
                unmount(point)
            except StackfileError as error:
                left.append(str(error))


def _remove(path: str, left: list[str]) -> None:
    """The directory, or what is in it where it is a mount point."""
    if not os.path.isdir(path):
        return
    for name in os.listdir(path):
        inner = os.path.join(path, name)
        if os.path.isdir(inner) and not os.path.islink(inner):
            shutil.rmtree(inner, onerror=_freely(left))
        else:
            _freely(left)(os.unlink, inner, None)
    if not os.path.ismount(path) and not os.listdir(path):
        os.rmdir(path)


def _freely(left: list[str]) -> Callable[[Callable[..., Any], str, object], None]:
    """Try again where a flag (chattr(1)) forbids it; note what stays."""

    def again(function: Callable[..., Any], path: str, _: object) -> None:
        for place in (path, os.path.dirname(path)):
            unlock(place)
        try:
            if function in (os.unlink, os.rmdir):
                function(path)
            else:
                shutil.rmtree(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            left.append(f"{path}: {error.strerror}")

    return again


def main() -> None:
    settings = settings_module.load()
    json.dump(wipe(settings), sys.stdout)


if __name__ == "__main__":
    main()
