"""A supervisor with a shim alone (no daemon), and containers from a busybox root, for tests of the runtime."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stackfile.images.snapshots import RootMount
from stackfile.model.container import ContainerSpec, ExecSpec
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Resources
from stackfile.paths import RunPaths
from stackfile.runtime import account
from stackfile.runtime.cgroup import Cgroups
from stackfile.runtime.compile import compile_container, compile_exec
from stackfile.runtime.instructions import ExecInstructions, Instructions
from stackfile.runtime.logs import Query, read_logs
from stackfile.runtime.machine import observe
from stackfile.runtime.shim_client import Exit, Running, ShimClient
from stackfile.settings import Settings
from stackfile.supervisor.client import Supervisor

_SUPERVISOR = """
import os
from stackfile import settings
from stackfile.kernel.syscalls import PR_SET_CHILD_SUBREAPER, prctl
from stackfile.paths import RunPaths
from stackfile.supervisor.server import Server
prctl(PR_SET_CHILD_SUBREAPER, 1)
say = lambda word: print(word, flush=True)
Server(RunPaths(settings.load().run), say, (("shim", "stackfile.runtime.shim"),)).run()
"""
PASSWD = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n"
GROUP = "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n"
MACHINE = observe()


def make_rootfs(path: Path) -> str:
    """A root of busybox and its applets."""
    for name in ("bin", "etc", "root", "tmp"):
        (path / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", path / "bin/busybox")
    applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (path / "bin" / applet).symlink_to("busybox")
    (path / "etc/passwd").write_text(PASSWD)
    (path / "etc/group").write_text(GROUP)
    (path / "tmp").chmod(0o1777)
    return str(path)


@dataclass
class Box:
    """Containers by short name."""

    settings: Settings
    rootfs: str
    process: subprocess.Popen[str]
    cgroups: Cgroups
    shim: ShimClient
    supervisor: Supervisor
    exits: list[Exit] = field(default_factory=list)
    made: dict[str, Instructions] = field(default_factory=dict)

    def instructions(self, name: str, *argv: str, **options: Any) -> Instructions:
        """Compile a container. Options are fields of ContainerSpec, or `binds`, `resources`, `environment`."""
        identity = f"{name}{os.getpid()}".ljust(64, "0")
        state = f"{self.settings.root}/containers/{identity}"
        for part in ("upper", "work"):
            os.makedirs(f"{state}/{part}", exist_ok=True)
        resources = options.pop("resources", Resources())
        binds = options.pop("binds", ())
        rest = {key: options.pop(key) for key in ("environment", "network") if key in options}
        rest.setdefault("environment", ())
        rest.setdefault("network", "new")
        spec = ContainerSpec(command=argv, **options)
        made = compile_container(
            spec,
            ImageConfig(),
            RootMount(kind="overlay", lower=(self.rootfs,), upper=f"{state}/upper", work=f"{state}/work"),
            identity=identity,
            hostname=name,
            log_dir=f"{state}/logs",
            run_dir=RunPaths(self.settings.run).container(identity),
            account=account.resolve(spec.user, PASSWD, GROUP, spec.group_add),
            machine=MACHINE,
            cgroup=self.cgroups.create(identity, resources),
            mounts=binds,
            **rest,
        )
        self.made[name] = made
        return made

    async def start(self, name: str, *argv: str, **options: Any) -> Running:
        return await self.shim.start(self.instructions(name, *argv, **options), None)

    async def run(self, name: str, *argv: str, **options: Any) -> tuple[Exit, str, str]:
        """Start, wait, clean up: (end, stdout, stderr)."""
        await self.start(name, *argv, **options)
        end = await self.ended(name)
        out, err = self.output(name, stderr=False), self.output(name, stdout=False)
        await self.remove(name)
        return end, out, err

    async def ended(self, name: str, exec_id: str = "", timeout: float = 20) -> Exit:
        key = (self.made[name].container, exec_id)
        await self.until(lambda: any((end.container, end.exec_id) == key for end in self.exits), timeout)
        return next(end for end in self.exits if (end.container, end.exec_id) == key)

    async def until(self, check: Callable[[], Any], timeout: float = 20) -> Any:
        deadline = time.monotonic() + timeout
        while not (found := check()):
            assert time.monotonic() < deadline, "nothing happened"
            await asyncio.sleep(0.005)
        return found

    async def gone(self, name: str) -> None:
        """Wait for the end of a container that was killed (or never lived), and remove it."""
        identity = self.made[name].container
        while any(live.container == identity for live in await self.shim.running()):
            await asyncio.sleep(0.01)
        await self.remove(name)

    async def remove(self, name: str) -> None:
        made = self.made.pop(name)
        for end in [each for each in self.exits if each.container == made.container]:
            await self.shim.acknowledge(end)
            self.exits.remove(end)
        await self.shim.release(made.container)
        self.cgroups.remove(made.container)
        shutil.rmtree(made.run_dir, ignore_errors=True)

    def exec_instructions(self, name: str, exec_id: str, *argv: str, **options: Any) -> ExecInstructions:
        made = self.made[name]
        spec = ExecSpec(argv=argv, **options)
        who = account.resolve(spec.user, PASSWD, GROUP) if spec.user else made.process.account
        return compile_exec(made, spec, who, exec_id=exec_id, machine=MACHINE)

    async def exec(self, name: str, *argv: str, **options: Any) -> tuple[int, str]:
        """Run a command inside: (exit code, stdout and stderr)."""
        read, write = os.pipe()
        exec_id = f"x{time.monotonic_ns()}"
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            await self.shim.exec(self.exec_instructions(name, exec_id, *argv, **options), [null, write, write])
            os.close(write)
            write = -1
            output = await asyncio.to_thread(_read_all, read)
        finally:
            for fd in (read, write, null):
                if fd >= 0:
                    os.close(fd)
        end = await self.ended(name, exec_id)
        await self.shim.acknowledge(end)
        return end.status, output

    def output(self, name: str, **query: Any) -> str:
        chunks = read_logs(self.made[name].logs.directory, Query(**query))
        return b"".join(chunk.data for chunk in chunks).decode()

    def kill_shim(self) -> int:
        """kill -9; the supervisor starts another. Returns the pid that was killed."""
        pid = self.supervisor.status()["shim"].pid
        os.kill(pid, signal.SIGKILL)
        return pid


def _read_all(fd: int) -> str:
    data = b""
    while chunk := os.read(fd, 65536):
        data += chunk
    return data.decode()


def start_supervisor(settings: Settings) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _SUPERVISOR],
        env={**os.environ, **settings.environment()},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ok\n"
    return process


def end_supervisor(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> None:
    process.send_signal(number)
    process.wait(20)
    assert process.stdout is not None
    process.stdout.close()


@asynccontextmanager
async def shimbox(settings: Settings, rootfs: str) -> AsyncIterator[Box]:
    """The box; everything in it is killed and removed in the end."""
    os.makedirs(settings.run)
    process = start_supervisor(settings)
    exits: list[Exit] = []
    shim = ShimClient(RunPaths(settings.run).shim, exits.append)
    supervisor = Supervisor(RunPaths(settings.run).supervisor)
    box = Box(settings, rootfs, process, Cgroups(settings.cgroup_parent), shim, supervisor, exits)
    try:
        await shim.connect()
        yield box
    finally:
        for made in box.made.values():
            box.cgroups.kill_all(made.container)
        for name in list(box.made):
            await box.gone(name)
        await shim.close()
        supervisor.close()
        box.cgroups.remove_parent()
        end_supervisor(box.process)
