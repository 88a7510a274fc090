"""Forking: the parent's side of a start or an exec, up to the moment when execve has succeeded or something failed."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stackfile.errors import ActionError, ConflictError, KernelError, StackfileError
from stackfile.kernel import process, seqpacket, syscalls
from stackfile.refusals import no_process
from stackfile.runtime.child import container as container_child
from stackfile.runtime.child import execute as exec_child
from stackfile.runtime.child.program import EXECUTE
from stackfile.runtime.child.report import GO
from stackfile.runtime.instructions import CgroupHandle, ExecInstructions, Instructions


@dataclass(frozen=True, slots=True)
class Forked:
    """A child that is setting itself up. `channel` is the shim's end of child/report.py."""

    pid: int
    pidfd: int
    start_time: int
    channel: socket.socket

    def go(self) -> None:
        """The process is recorded: let it execute."""
        try:
            self.channel.send(GO, socket.MSG_NOSIGNAL)
        except OSError:
            pass  # it has failed already; its report is waiting

    def record(self, write: Callable[[], None]) -> None:
        """A process that a next shim would not know of must not run: when `write` raises, it is killed and reaped."""
        try:
            write()
        except BaseException:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            os.close(self.pidfd)
            self.channel.close()
            raise

    def receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        """The next message; None at the end (executed, or dead). Raises BlockingIOError."""
        try:
            data, fds = seqpacket.receive(self.channel, 1 << 16)
        except ConnectionResetError:
            # It ended without reading our "go"; that is told once, before what it has sent.
            data, fds = seqpacket.receive(self.channel, 1 << 16)
        return (json.loads(data) if data else None), fds


class _Groups:
    """Open descriptors of a container's cgroup: `tasks` files on v1, the directory on v2."""

    def __init__(self, handle: CgroupHandle) -> None:
        self.tasks: list[int] = []
        self.directory = -1
        try:
            if handle.version == 2 and handle.paths:
                self.directory = self._open(handle.paths[0], os.O_RDONLY | os.O_DIRECTORY)
            elif handle.version == 1:
                for path in handle.paths:
                    self.tasks.append(self._open(f"{path}/tasks", os.O_WRONLY))
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _open(path: str, flags: int) -> int:
        try:
            return os.open(path, flags | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError(error.errno or 0, "open", path) from error

    def close(self) -> None:
        for fd in (*self.tasks, self.directory):
            if fd >= 0:
                os.close(fd)


def fork_container(
    given: Instructions, stdio: tuple[int, ...], netns: int, pid_of: int = -1, ipc_of: int = -1
) -> Forked:
    """Fork a container's first process into its namespaces.

    `pid_of` and `ipc_of` are pidfds of the main processes whose namespaces it shares. Raises ConflictError
    (`not-running`) when one of them ends meanwhile, KernelError.
    """
    flags = syscalls.NEWNS
    flags |= 0 if given.uts_host else syscalls.NEWUTS
    flags |= 0 if given.pid_host or pid_of >= 0 else syscalls.NEWPID
    flags |= 0 if given.ipc_host or ipc_of >= 0 else syscalls.NEWIPC
    flags |= syscalls.NEWNET if given.network == "new" else 0

    def child(sock: socket.socket, tasks: list[int]) -> None:
        container_child.run(given, sock, stdio, tasks, netns if given.network == "join" else -1, ipc_of)

    if pid_of < 0:
        return _fork(flags, given.cgroup, child)
    return _fork_beside(pid_of, given.join_pid, flags, given.cgroup, child)


def fork_exec(given: ExecInstructions, stdio: tuple[int, ...], container: int) -> Forked:
    """Fork a process into the pid namespace of the container whose main process is the pidfd `container`.

    Raises ConflictError (`not-running`) when the container ends meanwhile, KernelError.
    """

    def child(sock: socket.socket, tasks: list[int]) -> None:
        exec_child.run(given, sock, stdio, tasks, container)

    return _fork_beside(container, given.container, 0, given.cgroup, child)


def _fork_beside(
    main: int, identity: str, flags: int, cgroup: CgroupHandle, child: Callable[[socket.socket, list[int]], None]
) -> Forked:
    """Fork into the pid namespace of the pidfd `main`, which is container `identity`'s."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # This moves children of ours, not ourselves: one fork instead of two.
        syscalls.setns(main, syscalls.NEWPID, "the container's pid namespace")
        return _fork(flags, cgroup, child)
    except KernelError as error:
        if error.errno in (errno.ESRCH, errno.ENOMEM):
            raise ConflictError("not-running", f"container {identity[:12]} is not running") from error
        raise
    finally:
        syscalls.setns(own, syscalls.NEWPID, "own pid namespace")
        os.close(own)


def _fork(flags: int, cgroup: CgroupHandle, child: Callable[[socket.socket, list[int]], None]) -> Forked:
    groups = _Groups(cgroup)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        pid, pidfd = _clone(flags | process.CLONE_CLEAR_SIGHAND, groups.directory)
        if pid == 0:
            try:
                ours.close()
                child(theirs, groups.tasks)
            finally:
                os._exit(1)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        groups.close()
    ours.setblocking(False)
    return Forked(pid, pidfd, process.start_time(pid), ours)


def _clone(flags: int, group: int) -> tuple[int, int]:
    try:
        return process.clone3(flags, group)
    except KernelError as error:
        if error.errno != errno.EAGAIN:
            raise
        raise no_process(error) from error


def failure(described: dict[str, Any]) -> StackfileError:
    """The typed error of what a child reported."""
    program, number = described["program"], described["errno"]
    if described["step"] == EXECUTE:
        return _not_executed(program, number)
    return ActionError(
        "action-failed",
        f"cannot {described['step']}" + (f" ({described['message']})" if described["message"] else ""),
        cause=os.strerror(number) if number else "",
        details={"step": described["step"], "errno": number},
    )


def _not_executed(program: str, number: int) -> StackfileError:
    """In the words of runc and Docker, with their exit codes in `details`."""
    if number in (errno.ENOENT, errno.ENOTDIR):
        cause = f"stat {program}: no such file or directory" if "/" in program else "executable file not found in $PATH"
        return ActionError("command-not-found", f'exec: "{program}"', cause=cause, details={"exit": 127})
    cause = "exec format error" if number == errno.ENOEXEC else os.strerror(number).lower()
    return ActionError("command-not-executable", f'exec: "{program}"', cause=cause, details={"exit": 126})
