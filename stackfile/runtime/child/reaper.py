"""`init: true`: the forked child stays as pid 1, reaps orphans and forwards signals (as tini does)."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from stackfile.kernel.syscalls import PR_SET_DUMPABLE, close_from, prctl, set_process_name
from stackfile.runtime.child.report import Channel

_ALL = signal.valid_signals()


def split(channel: Channel, tty: bool) -> None:
    """Fork. Returns in the child, which goes on to execute; the parent stays as init and never returns."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        if tty:
            os.tcsetpgrp(0, os.getpid())  # SIGTTOU is blocked
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return
    channel.close()
    set_process_name("init")
    prctl(PR_SET_DUMPABLE, 0)
    _close_everything()
    _serve(pid)


def _close_everything() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    close_from(3)


def _serve(child: int) -> NoReturn:
    while True:
        number = signal.sigwait(_ALL)
        if number != signal.SIGCHLD:
            try:
                os.kill(child, number)
            except ProcessLookupError:
                pass  # it has ended; SIGCHLD comes next
            continue
        _reap(child)


def _reap(child: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
