"""Runs inside the machine, as its only program: makes the rest of a system, then examines the engine on it.

Says a line for every check, `ok …` or `FAIL …`, and at the end `VERDICT PASS` or `VERDICT FAIL`; then it powers off.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/stackfile")
_MOUNTS = (
    ("proc", "/proc", "proc"),
    ("sysfs", "/sys", "sysfs"),
    ("devtmpfs", "/dev", "devtmpfs"),
    ("tmpfs", "/run", "tmpfs"),
    ("tmpfs", "/tmp", "tmpfs"),
    ("tmpfs", "/var/lib", "tmpfs"),
    ("cgroup2", "/sys/fs/cgroup", "cgroup2"),
)
_STACK = """
name: small
images:
  tools:
    from: scratch
    steps:
      - host: {programs: [busybox]}
services:
  web:
    image: tools
    command: [busybox, sh, -c, "while :; do echo hello | busybox nc -l -p 80; done"]
    deploy: {resources: {limits: {memory: 48M, cpus: '0.5', pids: 40}}}
    stop_signal: SIGKILL
    healthcheck: {test: [CMD, busybox, "true"], interval: 2s}
  asker:
    image: tools
    command: [busybox, sh, -c, "busybox nc web 80 < /dev/null && busybox sleep 600"]
    stop_signal: SIGKILL
    depends_on: {web: {condition: service_healthy}}
"""
_libc = ctypes.CDLL(None, use_errno=True)
_failed: list[str] = []


def serves() -> bool:
    """Told when the daemon is ready."""
    say("the daemon serves")
    return True


def say(text: str) -> None:
    print(f"[{time.monotonic():6.2f}] {text}" if not text.startswith(("ok", "FAIL", "VERDICT")) else text, flush=True)


def check(what: str, holds: object, found: object = "") -> None:
    if not holds:
        _failed.append(what)
    say(f"ok {what}" if holds else f"FAIL {what}: {found}")


def make_system() -> None:
    """File systems, modules, loopback."""
    for source, target, kind in _MOUNTS:
        os.makedirs(target, exist_ok=True)
        if _libc.mount(source.encode(), target.encode(), kind.encode(), 0, None):
            say(f"mount {target}: {os.strerror(ctypes.get_errno())}")
    for name in sorted(os.listdir("/modules")):
        with open(f"/modules/{name}", "rb") as file:
            if _libc.syscall(313, file.fileno(), b"", 0):  # finit_module
                say(f"module {name}: {os.strerror(ctypes.get_errno())}")
    os.environ.update(PATH="/bin:/usr/bin:/sbin:/usr/sbin", HOME="/root")
    os.chdir("/root")
    subprocess.run(["/bin/busybox", "ip", "link", "set", "lo", "up"], check=False)


def stackfile(*arguments: str) -> tuple[int, str]:
    """Run our command line in a child of this process, where all is imported: (exit code, what it said)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.closerange(3, 64)
        code = 1
        try:
            from stackfile.cli import main as command_line

            code = command_line(arguments)
            sys.stdout.flush()
        finally:
            os._exit(code)
    os.close(write)
    with open(read, errors="replace") as file:
        said = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def wait(what: Callable[[], object], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        return f"{error}"


def start_engine() -> None:
    """Supervisor with shim and resolver, and the daemon in a child of this process.

    Importing takes an emulated processor long: only once, here.
    """
    import asyncio

    from stackfile import api, cli, settings
    from stackfile.cli import verbs
    from stackfile.daemon import routes
    from stackfile.daemon.composition import Daemon
    from stackfile.kernel.syscalls import PR_SET_CHILD_SUBREAPER, prctl
    from stackfile.paths import RunPaths, ensure_private
    from stackfile.supervisor.server import Server

    assert api
    assert cli
    assert verbs
    routes.find()
    say("all is imported")
    given = settings.load()
    ensure_private(given.root)
    ensure_private(given.run)
    if os.fork() == 0:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        modules = (("shim", "stackfile.runtime.shim"), ("resolver", "stackfile.resolver"))
        Server(RunPaths(given.run), say, modules).run()
        os._exit(0)
    check("supervisor, shim and resolver start", wait(Path(given.run, "resolver.sock").exists, 40))
    if os.fork() == 0:
        asyncio.run(Daemon(given).run(serves))
        os._exit(0)
    check("the engine starts", wait(Path(given.socket).exists, 40))


def examine() -> None:
    Path("/root/stack.yaml").write_text(_STACK)
    start_engine()
    code, out = stackfile("build")
    check("an image is built", code == 0, out)
    if code:
        return
    from stackfile import api

    with api.connect() as client:
        limits(client)
        memory(client)
        throttling(client)
        devices(client)
        freeze_and_kill(client)
    command_line()


def started(client, *command: str, **fields):  # type: ignore[no-untyped-def]
    from stackfile.model.container import ContainerSpec

    made = client.create(ContainerSpec(image="small/tools", image_name="small/tools", command=command, **fields))
    client.start(made)
    return made


def limits(client) -> None:  # type: ignore[no-untyped-def]
    from stackfile.model.stack import Resources

    given = Resources(memory=64 << 20, pids=50, nano_cpus=500_000_000, cpuset="0", cpu_shares=512)
    made = started(client, "busybox", "sleep", "600", resources=given)
    group = CGROUP / made
    wanted = {
        "memory.max": str(64 << 20),
        "pids.max": "50",
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0",
        "cpu.weight": "20",
    }
    for name, value in wanted.items():
        check(f"{name} is {value}", text(group / name) == value, text(group / name))
    pid = client.container(made).state.pid
    check("born in its group", text(Path(f"/proc/{pid}/cgroup")) == f"0::/stackfile/{made}", f"/proc/{pid}/cgroup")
    client.docker("POST", "containers", made, "update", value={"Memory": 96 << 20, "MemorySwap": -1})
    check("memory.max changes in place", text(group / "memory.max") == str(96 << 20), text(group / "memory.max"))
    check("the process stays", client.container(made).state.pid == pid)
    client.remove(made, force=True)
    check("the group goes", wait(lambda: not group.exists()))


def memory(client) -> None:  # type: ignore[no-untyped-def]
    from stackfile.model.stack import Resources

    resources = Resources(memory=24 << 20, memory_swap=24 << 20)
    made = started(client, "busybox", "tail", "/dev/zero", resources=resources)
    status = client.wait(made)
    check("killed for lack of memory: 137", status.exit_code == 137, status)
    check("OOMKilled", client.container(made).state.oom_killed, client.container(made).state)
    client.remove(made)
    made = started(client, "busybox", "sh", "-c", "tail /dev/zero; sleep 1000", resources=resources)
    check("a child killed: told while it runs", wait(lambda: client.container(made).state.oom_kills == 1))
    seen = [event.action for event in client.events(since=1, follow=False) if event.id == made]
    check("an event of it", seen.count("oom") == 1 and "die" not in seen, seen)
    client.remove(made, force=True)


def throttling(client) -> None:  # type: ignore[no-untyped-def]
    from stackfile.model.stack import Resources

    made = started(client, "busybox", "sh", "-c", "while :; do :; done", resources=Resources(nano_cpus=100_000_000))
    stat = CGROUP / made / "cpu.stat"
    check("cpu.max throttles", wait(lambda: "nr_throttled 0\n" not in text(stat)), text(stat))
    client.remove(made, force=True)


def devices(client) -> None:  # type: ignore[no-untyped-def]
    script = "busybox mknod /log c 1 11 && (echo x > /log) 2>/dev/null && exit 1; echo x > /dev/null && exit 0; exit 2"
    made = started(client, "busybox", "sh", "-c", script)
    status = client.wait(made)
    check("a foreign device is refused, one's own are not", status.exit_code == 0, status)
    client.remove(made)


def freeze_and_kill(client) -> None:  # type: ignore[no-untyped-def]
    made = started(client, "busybox", "sh", "-c", "busybox sleep 500 & busybox sleep 501 & wait")
    group = CGROUP / made
    check("all processes are in the group", wait(lambda: len(text(group / "cgroup.procs").split()) == 3))
    client.pause(made)
    check("pause freezes", "frozen 1" in text(group / "cgroup.events"), text(group / "cgroup.events"))
    client.unpause(made)
    check("unpause thaws", "frozen 0" in text(group / "cgroup.events"), text(group / "cgroup.events"))
    client.kill(made)
    check("nothing survives a kill", wait(lambda: not group.exists()), text(group / "cgroup.procs"))
    client.remove(made)


def command_line() -> None:
    script = "busybox cat /proc/self/cgroup; exit 7"
    code, out = stackfile("container", "run", "--rm", "-m", "32m", "small/tools", "busybox", "sh", "-c", script)
    check("container run", code == 7, (code, out))
    check("a cgroup namespace", out == "0::/\n", out)
    code, out = stackfile("up", "-d", "--wait")
    check("up", code == 0, out)
    groups = [group for group in CGROUP.iterdir() if len(group.name) == 64]
    check("two groups of two services", len(groups) == 2, groups)
    maxima = sorted(text(group / "memory.max") for group in groups)
    check("limits of the stack", maxima == [str(48 << 20), "max"], maxima)
    code, out = stackfile("down", "-v")
    check("down", code == 0, out)
    check("no group is left", wait(lambda: not list(CGROUP.glob("*/"))), list(CGROUP.glob("*")))


def main() -> None:
    try:
        make_system()
        say(f"kernel {os.uname().release}, {sys.version.split()[0]}")
        examine()
    except BaseException:
        _failed.append("exception")
        say("FAIL exception\n" + traceback.format_exc())
    if _failed:
        for log in Path("/run/stackfile").glob("*.log"):
            say(f"{log}: {log.read_text()[-3000:]}")
    say("VERDICT FAIL" if _failed else "VERDICT PASS")
    sys.stdout.flush()
    time.sleep(0.2)
    _libc.reboot(0x4321FEDC)  # power off
    _libc.reboot(0x01234567)


main()
