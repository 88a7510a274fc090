"""`python -m tests.world ARGS`: pytest, in a mount namespace that can hold containers.

In a chroot the engine takes one of its own; tests look where it looks, so they go there before they start.
Signals get their default action: under nohup, or in the background of a script, programs that the tests start would
inherit that ctrl-C is ignored.
"""

from __future__ import annotations

import os
import signal
import sys

from stackfile.supervisor.view import complete


def main() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if os.geteuid() == 0:
        here = os.getcwd()
        complete()
        os.chdir(here)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])


if __name__ == "__main__":
    main()
