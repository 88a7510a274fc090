"""The child that becomes a container's main process (or stays as its init)."""

from __future__ import annotations

import os
import socket
from typing import NoReturn

from stackfile.errors import StackfileError
from stackfile.kernel import mounts, syscalls
from stackfile.runtime.child import inside, program, reaper, rights, rootfs, terminal
from stackfile.runtime.child.report import Channel
from stackfile.runtime.instructions import Instructions


def run(
    container: Instructions, sock: socket.socket, stdio: tuple[int, ...], tasks: list[int], netns: int, ipc_of: int
) -> NoReturn:
    """Set up everything and execute. Never returns: failures go to the shim through `sock`.

    `stdio` are descriptors for 0, 1, 2 (empty with a terminal), `tasks` the open `tasks` files of v1 groups to
    join, `netns` a network namespace to enter or -1, `ipc_of` a process whose IPC namespace to share or -1.
    """
    channel = Channel(sock)
    try:
        _run(container, channel, stdio, tasks, netns, ipc_of)
    except (OSError, StackfileError, ValueError) as error:
        channel.fail(error, container.process.argv[0])
    finally:
        os._exit(1)


def _run(
    container: Instructions, channel: Channel, stdio: tuple[int, ...], tasks: list[int], netns: int, ipc_of: int
) -> None:
    os.setsid()
    join(tasks, channel)
    with channel.step("enter namespaces"):
        if netns >= 0:
            syscalls.setns(netns, syscalls.NEWNET, "network namespace")
        if not container.cgroup_host:
            syscalls.unshare(syscalls.NEWCGROUP)  # after joining: the group becomes the namespace's root
    if not container.uts_host:
        with channel.step("set the host name"):
            syscalls.sethostname(container.hostname)
            if container.domainname:
                syscalls.setdomainname(container.domainname)
    shm = _shared_memory(ipc_of, channel) if ipc_of >= 0 else -1
    root = rootfs.build(container, channel, shm)
    process = container.process
    slave = _terminal(container, root, channel) if process.tty else -1
    with channel.step(f"make working directory {process.working_dir}"):
        os.close(inside.ensure(root, process.working_dir, directory=True))
    rights.prepare(process, channel)
    rootfs.finish(container, root, channel)
    with channel.step("set up stdio"):
        if slave >= 0:
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
    if container.init:
        reaper.split(channel, process.tty)
    program.execute(process, channel)


def _shared_memory(ipc_of: int, channel: Channel) -> int:
    """Enter the IPC namespace of another container; its /dev/shm as a mount to attach."""
    with channel.step("share IPC"):
        syscalls.setns(ipc_of, syscalls.NEWIPC, "IPC namespace")
        own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # A mount can be cloned only from within its own namespace.
            syscalls.setns(ipc_of, syscalls.NEWNS, "mount namespace")
            return mounts.clone_tree("/dev/shm", recursive=False)
        finally:
            syscalls.setns(own, syscalls.NEWNS, "own mount namespace")
            os.close(own)


def join(tasks: list[int], channel: Channel) -> None:
    """Move this process into v1 groups: `0` to `tasks` costs a tenth of what the parent's write would."""
    with channel.step("join cgroups"):
        for fd in tasks:
            os.write(fd, b"0")


def _terminal(container: Instructions, root: int, channel: Channel) -> int:
    """A terminal of the new devpts; /dev/console is it, too. The master goes to the shim."""
    with channel.step("make a terminal"):
        multiplexer = inside.lookup(root, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
        assert multiplexer is not None, "devpts was mounted above"
        master, slave = terminal.open_pair(multiplexer, container.process.account.uid, container.process.size)
        console = inside.ensure(root, "/dev/console", directory=False)
        tree = mounts.clone_tree("", recursive=False, directory=slave)
        mounts.attach(tree, console, "/dev/console")
        os.close(tree)
        os.close(console)
        channel.send_terminal(master)
        os.close(master)
    return slave
