"""The child that becomes one more process of a running container."""

from __future__ import annotations

import os
import socket
from typing import NoReturn

from stackfile.errors import StackfileError
from stackfile.kernel import syscalls
from stackfile.runtime.child import program, rights, terminal
from stackfile.runtime.child.container import join
from stackfile.runtime.child.report import Channel
from stackfile.runtime.instructions import ExecInstructions

_NAMESPACES = syscalls.NEWNS | syscalls.NEWUTS | syscalls.NEWIPC | syscalls.NEWNET | syscalls.NEWCGROUP


def run(
    given: ExecInstructions, sock: socket.socket, stdio: tuple[int, ...], tasks: list[int], container: int
) -> NoReturn:
    """Enter the container (a pidfd of its main process) and execute; its pid namespace was entered by the clone.

    Never returns: failures go to the shim through `sock`.
    """
    channel = Channel(sock)
    try:
        _run(given, channel, stdio, tasks, container)
    except (OSError, StackfileError, ValueError) as error:
        channel.fail(error, given.process.argv[0])
    finally:
        os._exit(1)


def _run(given: ExecInstructions, channel: Channel, stdio: tuple[int, ...], tasks: list[int], container: int) -> None:
    # The container's processes can see this one from now on; they must not reach our program through /proc.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    os.setsid()
    join(tasks, channel)
    process = given.process
    rights.prepare(process, channel)
    with channel.step("enter namespaces"):
        syscalls.setns(container, _NAMESPACES, "the container's namespaces")
        os.chdir("/")
    os.umask(0o022)
    with channel.step("set up stdio"):
        if process.tty:
            multiplexer = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            master, slave = terminal.open_pair(multiplexer, process.account.uid, process.size)
            channel.send_terminal(master)
            os.close(master)
            terminal.take(slave)
        for number, fd in enumerate(stdio):
            os.dup2(fd, number)
    channel.wait_for_go()
    program.reset_signals()
    with channel.step(f"enter working directory {process.working_dir}"):
        entered = program.enter_working_directory(process)
    rights.drop(process, channel)
    if not entered:
        with channel.step(f"enter working directory {process.working_dir}"):
            os.chdir(process.working_dir)
    program.execute(process, channel)
