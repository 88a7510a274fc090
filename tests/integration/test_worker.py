"""Commands in a worker are as in a process of the caller's own: rights, descriptors, signals, exit codes."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import stackfile
from tests.conftest import CLIENT
from tests.integration.workers import Workers, wait_for, workers

pytestmark = pytest.mark.root

NOBODY = 65534


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    with tempfile.TemporaryDirectory(prefix="sf-workers-", dir="/var/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with workers(directory, like=(0, NOBODY, 0o660)) as made:
            yield made
            made.wait_idle()


def test_arguments_environment_directory_umask(pool: Workers, tmp_path: Path) -> None:
    text = """
import os, sys, json
print(json.dumps([arguments, sorted(os.environ), os.environ["X"], os.getcwd(), os.umask(0), sys.argv[0][-9:],
                  os.getsid(0) == os.getpid(), sorted(map(int, os.listdir("/proc/self/fd")))[:-1]]))
"""
    out = pool.run(text, "a b", "", "-x", "ü\n", cwd=tmp_path, env={"X": "1=2"}, umask=0o027)
    names = ["LC_ALL", "PATH", "STACKFILE_COMMAND", "STACKFILE_RUN", "TERM", "X"]
    assert json.loads(out) == [
        ["a b", "", "-x", "ü\n"], names, "1=2", str(tmp_path), 0o027, "stackfile", True, [0, 1, 2, 3],
    ]  # fmt: skip


def test_exit_codes(pool: Workers) -> None:
    for code in (0, 1, 7, 130, 255):
        pool.run(f"code = {code}", code=code)
    pool.run("import sys; sys.exit(9)", code=9)
    pool.run("raise KeyboardInterrupt", code=130)
    pool.run("import os; os._exit(5)", code=5)
    pool.run("1 / 0", code=1)
    process = pool.popen("import os; os.kill(os.getpid(), 9)")
    _, err = process.communicate()
    assert (process.returncode, "signal 9" in err) == (137, True)
    pool.run("import os; os.kill(os.getpid(), 15)", code=143)


def test_a_big_environment_and_much_input(pool: Workers) -> None:
    text = "import os, sys; print(len(os.environ['BIG']), len(sys.stdin.read()))"
    assert pool.run(text, stdin="x" * 5_000_000, env={"BIG": "y" * 100_000}) == "100000 5000000\n"


def test_output_that_nobody_reads(pool: Workers) -> None:
    from stackfile.cli.reader import BROKEN_PIPE

    reader, writer = os.pipe()
    os.close(reader)
    text = "from stackfile.cli.main import main; code = main(['help'])"
    process = pool.popen(text, stdout=writer)
    os.close(writer)
    assert process.communicate(timeout=10)[1] == ""
    assert process.returncode == BROKEN_PIPE


@pytest.fixture
def readable(pool: Workers) -> tuple[str, ...]:
    """The client by a Python that every user may run."""
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("no system Python")
    script = f"{pool.directory}/stackfile"
    shutil.copyfile(CLIENT[-1], script)
    return ("/usr/bin/python3", "-I", "-S", script, "-I", script)


def test_rights_of_the_caller(pool: Workers, readable: tuple[str, ...]) -> None:
    def run(text: str, uid: int, gid: int, groups: list[int]) -> tuple[int, str]:
        done = subprocess.run(
            [*readable, text], cwd="/", env=pool.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=20, user=uid, group=gid, extra_groups=groups,
        )  # fmt: skip
        return done.returncode, done.stdout

    text = "import os; print(os.getresuid(), os.getresgid(), os.getgroups(), os.access('/proc/self/environ', os.R_OK))"
    assert run(text, 1234, NOBODY, [NOBODY, 77]) == (
        0,
        f"(1234, 1234, 1234) ({NOBODY}, {NOBODY}, {NOBODY}) [77, {NOBODY}] True\n",
    )
    assert run("print(1); open('/etc/shadow')", 1234, NOBODY, []) == (1, "1\n")
    assert run("print(1); import os; os.setuid(0)", 1234, NOBODY, []) == (1, "1\n")
    # Not in the group of the socket: the command runs in its own process, where this is no command line.
    assert run("print(1)", 1234, 1234, [])[1] == ""


def test_limits_of_the_caller(pool: Workers) -> None:
    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 60))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    text = "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE))"
    assert pool.run(text, preexec_fn=lower) == "(50, 60) (0, 0)\n"

    def lower_all() -> None:
        for number in range(16):
            soft, hard = resource.getrlimit(number)
            wanted = 2**32 + number if hard == resource.RLIM_INFINITY else hard - 1 if hard > 100 else hard
            resource.setrlimit(number, (min(soft, wanted) if soft >= 0 else wanted, wanted))

    shown = subprocess.run(["cat", "/proc/self/limits"], preexec_fn=lower_all, capture_output=True, text=True).stdout
    assert pool.run("print(open('/proc/self/limits').read(), end='')", preexec_fn=lower_all) == shown


@pytest.mark.parametrize("wrapper", [("unshare", "-m"), ("unshare", "-n"), ("setpriv", "--bounding-set=-sys_time"),
                                     ("setpriv", "--no-new-privs"), ("chroot", "/")])  # fmt: skip
def test_callers_that_cannot_be_taken_on_run_alone(pool: Workers, wrapper: tuple[str, ...]) -> None:
    process = pool.popen("import os; print(os.getpid())", stdin=subprocess.DEVNULL)
    args = process.args
    assert isinstance(args, list)
    process.communicate()
    alone = subprocess.run([*wrapper, *args], env=pool.environment, capture_output=True, text=True, timeout=20)
    # chroot to the same root is no other view.
    assert alone.returncode == (0 if wrapper[0] == "chroot" else 2)


def test_another_version_runs_alone(pool: Workers) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(f"{pool.directory}/worker.sock")
        socket.send_fds(client, [b"stackfile\x000.0.1\x00022\x00"], [0, 0, 0, 1, 2])
        assert client.recv(16) == b"n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(f"{pool.directory}/worker.sock")
        client.send(os.urandom(4000))
        assert client.recv(16) == b"n"


def test_nonsense_after_the_first_message(pool: Workers) -> None:
    """Grants that nobody asked for, signals that are not handed on: the loop takes no harm."""
    master, terminal = os.openpty()
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(f"{pool.directory}/worker.sock")
        command = os.memfd_create("command")
        os.write(command, b"1\0x\0import time; time.sleep(0.3)")
        hello = b"\0".join((b"stackfile", stackfile.__version__.encode(), b"22", b"tty"))
        socket.send_fds(client, [hello], [command, os.open("/", os.O_PATH), terminal, writer, writer])
        assert client.recv(16) == b"y"
        for _ in range(70_000):
            client.send(b"g")
        for message in (b"k", b"k\x09", b"k\x13", b"?", b"x", b"d" * 3000):
            client.send(message)
        assert client.recv(16) == b"x\0"
    for fd in (master, terminal, reader, writer, command):
        os.close(fd)


def test_a_silent_client_holds_up_nobody(pool: Workers) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(f"{pool.directory}/worker.sock")
        assert pool.run("print(1)") == "1\n"


def test_siblings_share_nothing(pool: Workers) -> None:
    text = "import random, uuid; print(random.random(), uuid.uuid4())"
    assert len({pool.run(text) for _ in range(3)}) == 3
    many = [pool.popen("import time; time.sleep(0.2); print(arguments[0])", str(number)) for number in range(12)]
    assert [each.communicate(timeout=20)[0] for each in many] == [f"{number}\n" for number in range(12)]
    pool.wait_idle()


# ---- signals


def waiting(pool: Workers, text: str, **options: Any) -> subprocess.Popen[str]:
    process = pool.popen(text, **options)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143), (1, 129), (3, 131), (10, 138)])
def test_signals_are_handed_on(pool: Workers, number: int, code: int) -> None:
    process = waiting(pool, "import time; print('up', flush=True); time.sleep(20)")
    process.send_signal(number)
    assert process.wait(5) == code
    process.communicate()


def test_each_signal_arrives(pool: Workers) -> None:
    text = """
import os, signal, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1) or os.write(1, b"%d\\n" % len(got)))
print("up", flush=True)
while len(got) < 2: time.sleep(0.01)
code = 3
"""
    process = waiting(pool, text)
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=5)[0], process.returncode) == ("2\n", 3)


def test_ignored_signals_stay_ignored(pool: Workers) -> None:
    text = "import time; print('up', flush=True); time.sleep(0.4)"
    process = pool.popen(text, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=5)
    assert process.returncode == 0


def test_a_vanished_client_ends_its_worker(pool: Workers, tmp_path: Path) -> None:
    text = f"""
import time
try:
    print('up', flush=True)
    time.sleep(20)
finally:
    open({str(tmp_path / "mark")!r}, "w").close()
"""
    process = waiting(pool, text)
    process.kill()
    process.communicate()
    wait_for((tmp_path / "mark").exists)
    pool.wait_idle()


def test_stopping_stops_the_worker(pool: Workers) -> None:
    # In a group of its own, whose parent is in the same session: a group without such a parent cannot be stopped.
    program = "import time; print('up', flush=True); time.sleep(3); code = 4"
    process = waiting(pool, program, process_group=0)
    (worker,) = pool.children()
    process.send_signal(signal.SIGTSTP)
    wait_for(lambda: state(process.pid) == "T")
    assert state(worker) == "T"
    time.sleep(0.2)
    assert state(worker) == "T"
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=30)
    assert process.returncode == 4


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_the_end_of_the_zygote(tmp_path: Path) -> None:
    """While it does not answer, commands run alone; told to end, it ends its workers first."""
    with workers(tmp_path) as pool:
        process = waiting(pool, "import time; print('up', flush=True); time.sleep(20)")
        (worker,) = pool.children()
        pool.zygote.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        # Nobody takes the next command: it runs alone.
        alone = pool.popen("no such verb")
        assert alone.wait(20) == 2
        assert time.monotonic() - began < 10
        pool.zygote.send_signal(signal.SIGCONT)
        alone.communicate(timeout=5)
        pool.zygote.terminate()
        process.communicate(timeout=5)
        assert (process.returncode, pool.zygote.wait(5)) == (129, 0)
        assert not os.path.exists(f"/proc/{worker}")


def test_a_killed_zygote(tmp_path: Path) -> None:
    with workers(tmp_path, killed=True) as pool:
        process = waiting(pool, "import time; print('up', flush=True); time.sleep(20)")
        (worker,) = pool.children()
        pool.zygote.kill()
        _, err = process.communicate(timeout=5)
        assert process.returncode == 4
        assert "worker" in err
        wait_for(lambda: not os.path.exists(f"/proc/{worker}"))
