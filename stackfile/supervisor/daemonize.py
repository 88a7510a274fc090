"""Leaving the caller: own session, own directory, own cgroup, nothing inherited (daemon(7))."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DESCRIPTORS = 1_048_576
_AS_ERRORS = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores them at its start, so that the call fails instead."""


def detach(keep: set[int], log: str, environment: Mapping[str, str]) -> None:
    """Become a background process: double fork, setsid, cwd /, umask 022, signals at their defaults.

    Every descriptor but `keep` is closed; stdin is /dev/null, stdout and stderr are `log`. The process returns in
    the grandchild only.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.umask(0o022)
    _reset_signals()
    _redirect(log)
    _close_all_but({0, 1, 2} | keep)
    os.environ.clear()
    os.environ.update(environment, PATH=_PATH)


def raise_descriptor_limit() -> None:
    """Descriptors for many containers, as dockerd is given them; children and containers inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _reset_signals() -> None:
    """Defaults, whatever the caller ignored; but a reader that left, or a full file, is an error and not our end."""
    for number in _AS_ERRORS:
        signal.signal(number, signal.SIG_IGN)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, *_AS_ERRORS}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _redirect(log: str) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for fd in (null, output):
        if fd > 2:
            os.close(fd)


def _close_all_but(keep: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor of the listing itself


def leave_cgroup(parent: str) -> list[str]:
    """Move this process into `<parent>/engine` of every hierarchy, out of the caller's scope. Returns the groups.

    Best effort: a hierarchy that refuses (read-only, not delegated) keeps the process where it is.
    """
    made = []
    with open("/proc/self/mountinfo") as file:
        rows = [line.partition(" - ") for line in file]
    for head, _, tail in rows:
        if not tail.startswith("cgroup"):
            continue
        group = f"{head.split(' ')[4]}/{parent.strip('/')}/engine"
        try:
            os.makedirs(group, exist_ok=True)
            _fill_cpuset(group)
            enter_cgroup(group)
            made.append(group)
        except OSError:
            try:
                os.rmdir(group)
            except OSError:
                continue
    return made


def enter_cgroup(group: str) -> None:
    """Move this (single-threaded) process. On v1 `tasks` costs a fraction of `cgroup.procs`. Raises OSError."""
    name = "tasks" if os.path.exists(f"{group}/tasks") else "cgroup.procs"
    with open(f"{group}/{name}", "w") as file:
        file.write("0")


def _fill_cpuset(group: str) -> None:
    """A new v1 cpuset takes no process before it has CPUs and memory nodes, at both levels."""
    above = os.path.dirname(group)
    for level in (above, group):
        for name in ("cpuset.cpus", "cpuset.mems"):
            path = f"{level}/{name}"
            if not os.path.exists(path) or os.path.exists(f"{level}/cgroup.controllers"):
                continue
            with open(path) as file:
                present = file.read().strip()
            if not present:
                with open(f"{os.path.dirname(level)}/{name}") as file:
                    inherited = file.read().strip()
                with open(path, "w") as file:
                    file.write(inherited)
