"""Limits of this process and of the machine that many containers run into."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from stackfile.engines.embedded.checks.row import Row, judged, read
from stackfile.settings import Settings

_FILES = 4096
_LOWEST = {
    # what inotify followers of logs and programs in containers need; processes and threads; our key of secrets
    "fs/inotify/max_user_instances": 64,
    "fs/inotify/max_user_watches": 8192,
    "fs/file-max": 65536,
    "kernel/pid_max": 32768,
    "kernel/threads-max": 4096,
}


def rows(_: Settings) -> Iterator[Row]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    infinite = hard == resource.RLIM_INFINITY
    found = "unlimited" if infinite else str(hard)
    yield judged(
        "open files", infinite or hard >= _FILES, found, "raise it: ulimit -Hn 1048576, or LimitNOFILE= in the unit"
    )
    tasks = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    few = 0 <= tasks < _FILES
    yield judged("processes", not few, str(tasks) if tasks >= 0 else "unlimited", "raise it: ulimit -Hu unlimited")
    for name, lowest in _LOWEST.items():
        value = read(f"/proc/sys/{name}")
        if value.isdigit():
            key = name.replace("/", ".")
            yield judged(key, int(value) >= lowest, value, f"sysctl -w {key}={lowest * 4}")
