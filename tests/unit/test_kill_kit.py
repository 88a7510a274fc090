"""Which lines of strace the kill kit takes for points, and in which order points are tried."""

from __future__ import annotations

from itertools import pairwise

from tests.kill.kit import Point, Target, state_changing
from tests.kill.points import chosen

DAEMON = Target("daemon", 10)


def found(text: str, target: Target = DAEMON, threads: tuple[int, ...] = (10, 11)) -> set[tuple[str, int]]:
    return state_changing(text.strip().splitlines(), target, set(threads))


def test_what_is_read_or_said_to_a_pipe_is_no_point_but_counts() -> None:
    text = r"""
10    openat(AT_FDCWD</>, "/etc/hos"..., O_RDONLY|O_CLOEXEC) = 7</etc/hosts>
10    write(1<pipe:[41]>, "\0", 1)       = 1
10    openat(AT_FDCWD</>, "/var/lib"..., O_WRONLY|O_CREAT|O_CLOEXEC, 0600) = 7</var/lib/x>
10    write(7</var/lib/x>, "a", 1)       = 1
10    sendto(5<NETLINK:[ROUTE:10]>, [[{nlmsg_len=32"..., 32, 0, NULL, 0) = 32
10    sendto(6<UNIX-STREAM:[5->6]>, "HTTP"..., 4, 0, NULL, 0) = 4
10    rename("/var/lib"..., "/var/lib"...) = -1 ENOENT (No such file or directory)
"""
    assert found(text) == {("openat", 2), ("write", 2), ("sendto", 1), ("rename", 1)}


def test_every_thread_counts_for_itself() -> None:
    text = """
10    mkdir("/a", 0777)                 = 0
11    mkdir("/b", 0777 <unfinished ...>
10    mkdir("/c", 0777)                 = 0
11    <... mkdir resumed>)              = 0
11    unlink("/b")                      = 0
12    rmdir("/d")                       = 0
"""
    assert found(text) == {("mkdir", 1), ("mkdir", 2), ("unlink", 1)}


def test_of_a_zygote_the_calls_of_what_it_forks() -> None:
    zygote = Target("worker", 10, forks=True, talks=True)
    text = """
10    clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID) = 12
12    sendto(6<UNIX-STREAM:[5->6]>, "POST"..., 4, 0, NULL, 0) = 4
12    write(1<pipe:[41]>, "x", 1)        = 1
"""
    assert found(text, zygote) == {("sendto", 1)}


def test_receiving_is_a_point_where_descriptors_come() -> None:
    supervisor = Target("supervisor", 10, talks=True)
    text = """
10    recvmsg(4<UNIX-SEQPACKET:[1->2]>, {msg_name=NULL, msg_controllen=0, msg_flags=0}, 0) = 20
10    recvmsg(4<UNIX-SEQPACKET:[1->2]>, {msg_control=[{cmsg_type=SCM_RIGHTS, cmsg_data=[7]}]}, 0) = 20
10    +++ killed by SIGKILL +++
"""
    assert found(text, supervisor) == {("recvmsg", 2)}
    assert found(text) == set()


def test_points_come_in_the_order_of_the_seed_before_and_after_in_turn() -> None:
    points = [Point("daemon", "mkdir", number, when) for number in range(1, 5) for when in ("before", "after")]
    order = chosen(points, "1")
    assert sorted(map(str, order)) == sorted(map(str, points))
    assert order == chosen(points, "1") != chosen(points, "2")
    assert all(first.when != second.when for first, second in pairwise(order))
