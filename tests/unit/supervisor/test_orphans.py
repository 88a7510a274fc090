from __future__ import annotations

import os
import signal
import time

from stackfile.kernel.process import is_alive, start_time
from stackfile.supervisor.orphans import Orphans


def reaped(orphans: Orphans, pid: int) -> None:
    deadline = time.monotonic() + 5
    while all(end.pid != pid for end in orphans.ends()):
        assert time.monotonic() < deadline
        orphans.reap()


def test_ends_are_recorded_until_forgotten() -> None:
    orphans = Orphans()
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    started = start_time(pid)
    reaped(orphans, pid)
    (end,) = [end for end in orphans.ends() if end.pid == pid]
    assert (end.start_time, os.waitstatus_to_exitcode(end.status)) == (started, 7)
    orphans.forget(pid, started + 1)
    assert orphans.ends()
    orphans.forget(pid, started)
    assert end not in orphans.ends()


def test_a_signal_is_kept_as_such() -> None:
    orphans = Orphans()
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
    assert is_alive(pid, start_time(pid))
    os.kill(pid, signal.SIGKILL)
    reaped(orphans, pid)
    assert not is_alive(pid, start_time(pid))
    (end,) = [end for end in orphans.ends() if end.pid == pid]
    assert os.waitstatus_to_exitcode(end.status) == -9
    orphans.forget_pid(pid)
    assert orphans.ends() == []
