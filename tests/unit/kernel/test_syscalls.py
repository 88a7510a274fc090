from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from stackfile.errors import KernelError
from stackfile.kernel import inotify, memfd, process, seqpacket, syscalls


def test_failures_name_syscall_and_subject() -> None:
    with pytest.raises(KernelError) as caught:
        syscalls.setns(-1, 0, "nothing")
    assert (caught.value.reason, caught.value.errno) == ("kernel", errno.EBADF)
    assert str(caught.value) == "setns nothing: Bad file descriptor"


@pytest.mark.parametrize("table", [syscalls._X86_64, syscalls._AARCH64])
def test_tables_have_the_same_calls(table: dict[str, int]) -> None:
    assert set(table) == set(syscalls._X86_64)
    assert len(set(table.values())) == len(table)


def test_openat2_stays_inside(tmp_path: Path) -> None:
    (tmp_path / "inside").write_text("in")
    (tmp_path / "link").symlink_to("/inside")
    (tmp_path / "out").symlink_to("../../../../etc/passwd")
    root = os.open(tmp_path, os.O_PATH)
    fd = syscalls.openat2(root, "link", os.O_RDONLY, syscalls.RESOLVE_IN_ROOT)
    assert os.read(fd, 10) == b"in"
    os.close(fd)
    with pytest.raises(KernelError) as caught:
        syscalls.openat2(root, "out", os.O_RDONLY, syscalls.RESOLVE_IN_ROOT)
    assert caught.value.errno == errno.ENOENT
    os.close(root)


def test_start_time_names_a_process() -> None:
    assert process.start_time(os.getpid()) > 0
    assert process.is_alive(os.getpid(), process.start_time(os.getpid()))
    assert not process.is_alive(os.getpid(), 1)
    assert process.start_time(2**30) == 0


def test_a_pidfd_is_not_another_process_s() -> None:
    started = process.start_time(os.getpid())
    pidfd = process.pidfd_of(os.getpid(), started)
    assert pidfd >= 0
    os.close(pidfd)
    assert process.pidfd_of(os.getpid(), started + 1) == -1, "the pid belongs to a later process"
    assert process.pidfd_of(2**22 + 1, 1) == -1


def test_clone3_gives_a_pidfd() -> None:
    pid, pidfd = process.clone3(0)
    if pid == 0:
        os._exit(5)
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert result is not None
    assert (result.si_pid, result.si_status) == (pid, 5)
    os.close(pidfd)


def test_sealed_memory() -> None:
    fd = memfd.sealed("test", b"x" * 100_000)
    assert memfd.content(fd) == b"x" * 100_000
    with pytest.raises(PermissionError):
        os.write(fd, b"y")
    os.close(fd)
    loose = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    with pytest.raises(ValueError, match="sealed"):
        memfd.content(loose)
    os.close(loose)


def test_messages_carry_descriptors(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    listener = seqpacket.listen(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    client = seqpacket.connect(path)
    server, _ = listener.accept()
    assert seqpacket.peer_uid(server) == os.getuid()
    read, write = os.pipe()
    seqpacket.send(client, b"hello", [read, write])
    seqpacket.send(client, b"x" * 500_000)
    data, fds = seqpacket.receive(server)
    assert (data, len(fds)) == (b"hello", 2)
    assert not os.get_inheritable(fds[0])
    os.write(fds[1], b"through")
    assert os.read(read, 10) == b"through"
    assert seqpacket.receive(server) == (b"x" * 500_000, [])
    client.close()
    assert seqpacket.receive(server) == (b"", [])
    for fd in (read, write, *fds):
        os.close(fd)
    server.close()
    listener.close()


def test_a_message_that_does_not_fit_is_refused() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    seqpacket.send(ours, b"x" * 100)
    with pytest.raises(ConnectionAbortedError):
        seqpacket.receive(theirs, 10)
    ours.close()
    theirs.close()


def test_inotify_names_what_changed(tmp_path: Path) -> None:
    watch = inotify.Inotify()
    assert watch.read() == []
    number = watch.add(str(tmp_path), inotify.CREATE | inotify.MODIFY)
    (tmp_path / "file").write_text("x")
    changes = watch.read()
    assert {(change.watch, change.name) for change in changes} == {(number, "file")}
    watch.remove(number)
    with pytest.raises(KernelError):
        watch.remove(number)
    watch.close()
