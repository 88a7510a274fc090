"""What the engine says of itself, and how much its containers use."""

from __future__ import annotations

import asyncio
import os
import platform
import pwd
import shlex
import time
from importlib.metadata import PackageNotFoundError, version

from stackfile.engines.embedded import clock
from stackfile.engines.embedded.core import Core
from stackfile.engines.embedded.registry import Container, Registry
from stackfile.errors import ActionError, ConflictError
from stackfile.images.snapshots import filesystem_type
from stackfile.model.container import EngineInfo, Stats

TITLES = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]


class Info:
    """Facts for `info`, `stats` and `top`."""

    def __init__(self, core: Core, registry: Registry) -> None:
        self._core = core
        self._registry = registry

    def engine(self) -> EngineInfo:
        """The engine and the machine it runs on."""
        statuses = [container.state.status for container in self._registry.all()]
        running = statuses.count("running") + statuses.count("restarting")
        paused = statuses.count("paused")
        return EngineInfo(
            id=self._core.state.engine_id,
            version=_version(),
            root=self._core.settings.root,
            kernel=platform.release(),
            operating_system=_release().get("PRETTY_NAME", "Linux"),
            architecture=platform.machine(),
            cpus=os.cpu_count() or 1,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            cgroup_version=str(self._core.cgroups.version),
            storage_driver=self._core.snapshots.kind,
            containers=len(statuses),
            running=running,
            paused=paused,
            stopped=len(statuses) - running - paused,
            images=len(self._core.images.list()),
            name=platform.node(),
            os_version=_release().get("VERSION_ID", ""),
            backing=filesystem_type(self._core.settings.root),
            bridge_nf=(_sysctl("net/bridge/bridge-nf-call-iptables"), _sysctl("net/bridge/bridge-nf-call-ip6tables")),
            forwarding=_sysctl("net/ipv4/ip_forward"),
            descriptors=len(os.listdir("/proc/self/fd")),
            tasks=len(asyncio.all_tasks()),
        )

    def stats(self, container: Container) -> Stats:
        """Usage now. ConflictError (`not-running`)."""
        _require_alive(container)
        usage = self._core.cgroups.read(container.id)
        network = _network(container.state.pid)
        details = self._core.cgroups.details(container.id)
        return Stats(
            time=clock.rfc3339(clock.now_ns()),
            cpu_total=usage.cpu_ns,
            cpu_system=_system_cpu(),
            online_cpus=os.cpu_count() or 1,
            memory=usage.memory,
            memory_limit=usage.memory_limit,
            memory_cache=usage.memory_cache,
            pids=usage.pids,
            pids_limit=usage.pids_limit,
            rx_bytes=network[0],
            rx_packets=network[1],
            tx_bytes=network[2],
            tx_packets=network[3],
            read_bytes=usage.read_bytes,
            write_bytes=usage.write_bytes,
            cpu_user=details.cpu_user,
            cpu_kernel=details.cpu_kernel,
            cpu_each=details.cpu_each,
            periods=details.periods,
            throttled_periods=details.throttled_periods,
            throttled_ns=details.throttled_ns,
            memory_peak=details.memory_peak,
            memory_details=details.memory,
            io=details.io,
        )

    async def top(self, container: Container, options: str) -> tuple[list[str], list[list[str]]]:
        """The container's processes as `ps -ef` shows them, or ps with other `options`.

        ConflictError (`not-running`), ActionError (`bad-request`) for what ps refuses or shows without a PID.
        """
        _require_alive(container)
        if options and options != "-ef":
            return await _ps(options, frozenset(self._core.cgroups.processes(container.id)))
        rows = (_process(pid) for pid in sorted(self._core.cgroups.processes(container.id)))
        return list(TITLES), [row for row in rows if row is not None]


async def _ps(options: str, pids: frozenset[int]) -> tuple[list[str], list[list[str]]]:
    """The machine's own ps: columns are what it prints, the last one free."""
    try:
        process = await asyncio.create_subprocess_exec(
            "ps", *shlex.split(options), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except (OSError, ValueError) as error:
        raise ActionError("bad-request", f"ps {options} cannot be run", cause=str(error)) from error
    out, complaint = await process.communicate()
    titles, *lines = [line.split() for line in out.decode(errors="replace").splitlines()] or [[]]
    if process.returncode or "PID" not in titles:
        cause = complaint.decode(errors="replace").strip().partition("\n")[0]
        raise ActionError("bad-request", f"ps {options} shows no PID", cause=cause)
    column, last = titles.index("PID"), len(titles) - 1
    rows = [[*words[:last], " ".join(words[last:])] for words in lines if len(words) > column]
    return titles, [row for row in rows if row[column].isdigit() and int(row[column]) in pids]


def _require_alive(container: Container) -> None:
    if not container.alive:
        raise ConflictError("not-running", f"container {container.name} is not running")


def _version() -> str:
    try:
        return version("stackfile")
    except PackageNotFoundError:
        return "0"


def _release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _sysctl(name: str) -> bool:
    try:
        with open(f"/proc/sys/{name}") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def _system_cpu() -> int:
    """Time of all CPUs in all states since boot, ns (proc(5), /proc/stat)."""
    with open("/proc/stat") as file:
        ticks = sum(int(field) for field in file.readline().split()[1:9])
    return ticks * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def _network(pid: int) -> tuple[int, int, int, int]:
    """(rx bytes, rx packets, tx bytes, tx packets) of a process's interfaces but lo (proc(5), /proc/PID/net/dev)."""
    totals = [0, 0, 0, 0]
    try:
        with open(f"/proc/{pid}/net/dev") as file:
            lines = file.readlines()[2:]
    except OSError:
        lines = []
    for line in lines:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if name.strip() != "lo":
            for index, field in enumerate((0, 1, 8, 9)):
                totals[index] += int(fields[field])
    return totals[0], totals[1], totals[2], totals[3]


def _user(uid: int) -> str:
    """The machine's name of a user, as ps shows it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _process(pid: int) -> list[str] | None:
    """A row of `top`; None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            before, _, after = file.read().rpartition(")")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    fields = after.split()
    ticks = os.sysconf("SC_CLK_TCK")
    seconds = (int(fields[11]) + int(fields[12])) // ticks
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / ticks
    name = before.partition("(")[2]
    spent = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    when = time.strftime("%H:%M", time.localtime(started))
    return [_user(uid), str(pid), fields[1], "0", when, "?", spent, command or f"[{name}]"]
