"""The last steps: working directory, signals, look-up in PATH, execve."""

from __future__ import annotations

import errno
import os
import signal
from typing import NoReturn

from stackfile.runtime.child.report import Channel
from stackfile.runtime.instructions import Process

EXECUTE = "execute"
"""Name of the step whose failures mean: no such command, or not an executable one."""

_NOT_HERE = (errno.ENOENT, errno.ENOTDIR)


def reset_signals() -> None:
    """What Python ignores, a program expects at its default."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def enter_working_directory(process: Process) -> bool:
    """chdir; False when this account may not (it may after the change of ids, or the other way round)."""
    try:
        os.chdir(process.working_dir)
    except PermissionError:
        return False
    return True


def execute(process: Process, channel: Channel) -> NoReturn:
    """execve, with the PATH of the container's own environment. Raises OSError when it failed."""
    environment = {name: value for name, _, value in (row.partition("=") for row in process.environment) if name}
    name = process.argv[0]
    with channel.step(EXECUTE):
        if "/" in name:
            os.execve(name, process.argv, environment)
        refused: OSError | None = None
        for directory in environment.get("PATH", "").split(":"):
            path = f"{directory or '.'}/{name}"
            try:
                os.execve(path, process.argv, environment)
            except OSError as error:
                if error.errno not in _NOT_HERE and not os.path.isdir(path):
                    refused = refused or error
        raise refused or FileNotFoundError(errno.ENOENT, "executable file not found in $PATH", name)
