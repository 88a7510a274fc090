"""`python -I -m stackfile.supervisor [--ready-fd N]`: start the engine in the background.

With `--resume N` it is the present supervisor that has become this program (see `upgrade`).

Writes "ok" to descriptor N when the daemon serves, "error: …" when it does not come up. Exit code 75 (EX_TEMPFAIL)
when another supervisor of this run root is there.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from stackfile import log, settings
from stackfile.kernel.syscalls import PR_SET_CHILD_SUBREAPER, prctl, set_process_name
from stackfile.paths import RunPaths, ensure_private
from stackfile.supervisor.daemonize import detach, enter_cgroup, leave_cgroup, raise_descriptor_limit
from stackfile.supervisor.presence import announce
from stackfile.supervisor.server import Server
from stackfile.supervisor.upgrade import Handed
from stackfile.supervisor.view import complete

LOCKED = 75
_GROUPS_PATIENCE = 2.0


def main(arguments: Sequence[str]) -> int:
    given = settings.load()
    paths = RunPaths(given.run)
    option, number = (arguments[0], int(arguments[1])) if len(arguments) > 1 else ("", -1)
    if option == "--resume":
        handed = Handed.read(number)
        _prepare()
        return _serve(paths, None, handed)
    ensure_private(given.root)
    ensure_private(given.run)
    ready = number if option == "--ready-fd" else -1
    lock = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return LOCKED
    if ready >= 0:
        os.set_inheritable(ready, False)
    detach({lock, ready}, paths.log("supervisor"), given.environment())
    _prepare()
    raise_descriptor_limit()
    complete()
    groups = leave_cgroup(given.cgroup_parent)
    os.truncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return _serve(paths, partial(announce, ready), Handed(lock=lock, listener=-1, groups=groups))


def _prepare() -> None:
    log.unfailing()
    set_process_name("stackfile-super")
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def _serve(paths: RunPaths, tell: Callable[[str], object] | None, handed: Handed) -> int:
    try:
        Server(paths, tell, handed=handed).run()
    finally:
        os.truncate(handed.lock, 0)
        _leave_groups(list(handed.groups))
    return 0


def _leave_groups(groups: list[str]) -> None:
    """Back to the root of each hierarchy, so that our group can go."""
    for group in groups:
        try:
            enter_cgroup(os.path.dirname(os.path.dirname(group)))
        except OSError:
            continue  # a nested one
    deadline = time.monotonic() + _GROUPS_PATIENCE
    while groups and time.monotonic() < deadline:
        groups = [group for group in groups if not _remove_group(group)]
        time.sleep(0.005 if groups else 0)


def _remove_group(group: str) -> bool:
    """Whether it is gone, with the parent where that is empty; False while something that ends is still in it."""
    try:
        os.rmdir(group)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    try:
        os.rmdir(os.path.dirname(group))
    except OSError:
        pass  # containers are left below the parent
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
