"""From what a container is (spec, image) to what the shim does (instructions). Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stackfile.errors import ActionError
from stackfile.model.container import ContainerSpec, ExecSpec, LogConfig
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Mount, Ulimit
from stackfile.runtime import capabilities, seccomp
from stackfile.runtime.instructions import (
    Account,
    BindMount,
    CgroupHandle,
    Device,
    ExecInstructions,
    Instructions,
    Logs,
    Process,
    Rlimit,
    Root,
    Security,
    TmpfsMount,
)
from stackfile.runtime.machine import Machine

if TYPE_CHECKING:
    from stackfile.images.snapshots import RootMount

_INIT = "/sbin/docker-init"
"""Where Docker has it, too."""
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MASKED_PATHS = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

DEFAULT_DEVICES: tuple[Device, ...] = (
    Device(path="/dev/null", kind="c", major=1, minor=3),
    Device(path="/dev/zero", kind="c", major=1, minor=5),
    Device(path="/dev/full", kind="c", major=1, minor=7),
    Device(path="/dev/random", kind="c", major=1, minor=8),
    Device(path="/dev/urandom", kind="c", major=1, minor=9),
    Device(path="/dev/tty", kind="c", major=5, minor=0),
)
DEFAULT_SHM = 64 << 20
_UNLOGGED = 1 << 20
"""Bytes that are kept of output that is not logged."""

RLIMITS = {
    "cpu": 0, "fsize": 1, "data": 2, "stack": 3, "core": 4, "rss": 5, "nproc": 6, "nofile": 7, "memlock": 8, "as": 9,
    "locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15,
}  # fmt: skip
"""Names as Docker writes them → RLIMIT_ numbers (the same on x86_64 and aarch64)."""


def compile_container(
    spec: ContainerSpec,
    image: ImageConfig,
    root: RootMount,
    *,
    identity: str,
    hostname: str,
    environment: Sequence[str],
    mounts: Sequence[BindMount] = (),
    files_dir: str = "",
    log_dir: str,
    run_dir: str,
    account: Account,
    machine: Machine,
    cgroup: CgroupHandle,
    network: str = "join",
    argv: Sequence[str] = (),
    devices: Sequence[Device] = (),
    join_pid: str = "",
    join_ipc: str = "",
    init: str = "",
) -> Instructions:
    """Everything the shim needs for one container.

    `environment`: `NAME=value` of the container itself, secrets resolved; it goes over the image's and the defaults
    (a bare `NAME` takes the variable away). `mounts`: volumes, binds, configs and secrets as paths of the host; the
    tmpfs mounts of the spec are added here. `files_dir` holds `hosts`, `hostname`, `resolv.conf` ("" for none).
    `network`: join, new or host. `argv` overrides spec and image (build steps). `devices` are those of the spec as
    the machine has them; `join_pid` and `join_ipc` the ids of containers whose namespaces it shares. `init` is the
    host's program that does what `init: true` asks for; "" for our own.

    Raises ActionError (`bad-request`): no command, unknown capability, ulimit or option.
    """
    program = tuple(argv) or command(spec, image)
    if spec.init and init:
        program = (_INIT, "--", *program)
        mounts = (*mounts, BindMount(source=init, target=_INIT, read_only=True))
    rlimits, warnings = _rlimits(spec.ulimits, machine)
    process = Process(
        argv=program,
        environment=_environment(image.environment, environment, hostname, account.home, spec.tty),
        working_dir=spec.working_dir or image.working_dir or "/",
        account=account,
        security=_security(spec, machine),
        rlimits=rlimits,
        oom_score_adj=spec.oom_score_adj,
        tty=spec.tty,
        size=spec.console_size,
    )
    return Instructions(
        container=identity,
        process=process,
        hostname=hostname,
        domainname=spec.domainname,
        root=Root(
            kind=root.kind if root.kind == "overlay" else "directory",
            lower=tuple(root.lower),
            upper=root.upper,
            work=root.work,
            read_only=spec.read_only,
        ),
        mounts=_by_depth([*_own_files(files_dir, mounts), *mounts]),
        tmpfs=tuple(_tmpfs(mount) for mount in spec.mounts if mount.type == "tmpfs"),
        devices=_devices(devices, machine, privileged=spec.privileged),
        masked_paths=() if spec.privileged or "systempaths=unconfined" in spec.security_opt else MASKED_PATHS,
        readonly_paths=() if spec.privileged or "systempaths=unconfined" in spec.security_opt else READONLY_PATHS,
        sysctls=tuple(sorted(spec.sysctls.items())),
        shm_size=spec.shm_size or DEFAULT_SHM,
        cgroup=cgroup,
        network=network,
        pid_host=spec.pid_mode == "host",
        ipc_host=spec.ipc_mode == "host",
        uts_host=spec.uts_mode == "host",
        cgroup_host=spec.cgroup_mode == "host",
        join_pid=join_pid,
        join_ipc=join_ipc,
        privileged=spec.privileged,
        init=spec.init and not init,
        stdin_open=spec.stdin_open,
        run_dir=run_dir,
        logs=_logs(spec.log, log_dir),
        warnings=(*warnings, *_without_effect(spec, cgroup)),
    )


def compile_exec(
    container: Instructions,
    spec: ExecSpec,
    account: Account,
    *,
    exec_id: str,
    machine: Machine,
    environment: Sequence[str] = (),
) -> ExecInstructions:
    """One more program in `container`: its environment, limits and rights, with what `spec` changes.

    `environment` goes over the container's, `spec.environment` over both.
    """
    if not spec.argv:
        raise ActionError("bad-request", "no exec command specified")
    own = container.process
    security = own.security
    if spec.privileged:
        security = Security(capabilities=machine.capabilities)
    merged = _merge(_merge(own.environment, environment), spec.environment)
    if account != own.account:
        merged = _merge(merged, () if _names(spec.environment) & {"HOME"} else (f"HOME={account.home}",))
    if spec.tty:
        merged = _merge(("TERM=xterm",), merged)
    return ExecInstructions(
        container=container.container,
        exec_id=exec_id,
        process=replace(
            own,
            argv=tuple(spec.argv),
            environment=merged,
            working_dir=spec.working_dir or own.working_dir,
            account=account,
            security=security,
            tty=spec.tty,
            size=spec.console_size,
        ),
        cgroup=container.cgroup,
        run_dir=container.run_dir,
    )


def command(spec: ContainerSpec, image: ImageConfig) -> tuple[str, ...]:
    """The argv: an entrypoint of the spec makes the image's command void (Docker). ActionError (`bad-request`)."""
    if spec.entrypoint is not None:
        program = (*spec.entrypoint, *(spec.command or ()))
    else:
        chosen = spec.command if spec.command is not None else image.command
        program = (*(image.entrypoint or ()), *(chosen or ()))
    if not program or not program[0]:
        raise ActionError("bad-request", "no command specified", hint="give the container a command or an entrypoint")
    return program


def signal_number(name: str) -> int:
    """The number of `SIGTERM`, `TERM`, `term`, `15`, `RTMIN+3`. ActionError (`bad-request`)."""
    plain = name.upper().removeprefix("SIG")
    if plain.isdigit() and 0 < int(plain) <= 64:
        return int(plain)
    base, plus, offset = plain.partition("+")
    if base == "RTMIN" and (not plus or offset.isdigit()):
        return 34 + int(offset or 0)
    try:
        return int(signal.Signals[f"SIG{plain}"])
    except KeyError:
        raise ActionError("bad-request", f"Invalid signal: {name}") from None


def _names(environment: Iterable[str]) -> set[str]:
    return {row.partition("=")[0] for row in environment}


def _merge(base: Sequence[str], over: Sequence[str]) -> tuple[str, ...]:
    """`over` replaces rows of `base` in their place and appends the rest; a bare name takes a row away."""
    rows = {row.partition("=")[0]: row for row in base}
    for row in over:
        name, equals, _ = row.partition("=")
        if equals:
            rows[name] = row
        else:
            rows.pop(name, None)
    return tuple(rows.values())


def _environment(image: Sequence[str], own: Sequence[str], hostname: str, home: str, tty: bool) -> tuple[str, ...]:
    """Docker's order: PATH, HOSTNAME, TERM, then the image's and the container's; HOME last where nobody set it."""
    defaults = [DEFAULT_PATH, f"HOSTNAME={hostname}", *(["TERM=xterm"] if tty else [])]
    merged = _merge(_merge(defaults, image), own)
    if "HOME" not in _names([*merged, *own]):
        merged = (*merged, f"HOME={home}")
    return merged


def _security(spec: ContainerSpec, machine: Machine) -> Security:
    options = dict(_option(text) for text in spec.security_opt)
    bits = capabilities.effective(
        spec.cap_add, spec.cap_drop, privileged=spec.privileged, available=machine.capabilities
    )
    confined = not spec.privileged and options.get("seccomp") != "unconfined"
    apparmor = "" if spec.privileged else options.get("apparmor", machine.apparmor)
    return Security(
        capabilities=bits,
        seccomp=seccomp.default_program(bits, machine.architecture) if confined else b"",
        no_new_privileges=options.get("no-new-privileges", "false") == "true",
        apparmor="" if apparmor == "unconfined" or not machine.apparmor else apparmor,
    )


_OPTIONS = ("seccomp", "apparmor", "no-new-privileges", "systempaths", "label", "proc-opts")


def _option(text: str) -> tuple[str, str]:
    """`name=value` or `name:value`; a bare no-new-privileges is true. ActionError (`bad-request`)."""
    separator = min((index for mark in "=:" if (index := text.find(mark)) >= 0), default=len(text))
    name, value = text[:separator], text[separator + 1 :] or "true"
    if name not in _OPTIONS:
        raise ActionError("bad-request", f"invalid --security-opt: {text!r}", hint=f"one of {', '.join(_OPTIONS)}")
    if name == "seccomp" and value not in ("unconfined", "builtin", "true"):
        raise ActionError("bad-request", f"seccomp profile {value!r} is not supported", hint="unconfined or builtin")
    return name, value


def _rlimits(ulimits: Sequence[Ulimit], machine: Machine) -> tuple[tuple[Rlimit, ...], list[str]]:
    rows: list[Rlimit] = []
    warnings: list[str] = []
    for limit in ulimits:
        if limit.name not in RLIMITS:
            raise ActionError("bad-request", f"unknown ulimit {limit.name!r}", hint=f"one of {', '.join(RLIMITS)}")
        number = RLIMITS[limit.name]
        ceiling = machine.hard_limits.get(number, -1)
        soft, hard = _clamp(limit.soft, ceiling), _clamp(limit.hard, ceiling)
        if (soft, hard) != (limit.soft, limit.hard):
            warnings.append(f"ulimit {limit.name} {limit.soft}:{limit.hard} is above this machine's {ceiling}")
        rows.append(Rlimit(resource=number, soft=soft, hard=hard))
    return tuple(rows), warnings


def _clamp(value: int, ceiling: int) -> int:
    if ceiling < 0:
        return value
    return ceiling if value < 0 else min(value, ceiling)


def _own_files(files_dir: str, mounts: Sequence[BindMount]) -> list[BindMount]:
    if not files_dir:
        return []
    taken = {mount.target for mount in mounts}
    names = [name for name in ("resolv.conf", "hostname", "hosts") if f"/etc/{name}" not in taken]
    return [BindMount(source=f"{files_dir}/{name}", target=f"/etc/{name}", recursive=False) for name in names]


def _by_depth(mounts: Iterable[BindMount]) -> tuple[BindMount, ...]:
    """Parents before children, else in the given order."""
    return tuple(sorted(mounts, key=lambda mount: len([part for part in mount.target.split("/") if part])))


def _tmpfs(mount: Mount) -> TmpfsMount:
    options = tuple(option for option in mount.tmpfs_options.split(",") if option)
    if mount.read_only:
        options = (*options, "ro")
    return TmpfsMount(target=mount.target, size=mount.tmpfs_size, mode=mount.tmpfs_mode, options=options)


def _without_effect(spec: ContainerSpec, cgroup: CgroupHandle) -> list[str]:
    """What cgroup v2 has no file for."""
    if cgroup.version != 2:
        return []
    asked = {
        "mem_swappiness": spec.resources.swappiness is not None,
        "oom_kill_disable": spec.resources.oom_kill_disable,
    }
    return [f"{key} has no effect with cgroup v2" for key, wanted in asked.items() if wanted]


def _logs(log: LogConfig, directory: str) -> Logs:
    """Where output goes. Of driver `none` only the last is kept, for whoever is attached."""
    if log.driver == "none":
        return Logs(directory=directory, max_size=_UNLOGGED, max_files=1)
    return Logs(directory=directory, max_size=log.max_size, max_files=max(log.max_files, 1))


def _devices(own: Sequence[Device], machine: Machine, *, privileged: bool) -> tuple[Device, ...]:
    """The nodes of /dev; later ones replace earlier ones at the same path."""
    found = (*DEFAULT_DEVICES, *(_host_devices(machine) if privileged else ()), *own)
    return tuple({device.path: device for device in found}.values())


def _host_devices(machine: Machine) -> tuple[Device, ...]:
    own = {device.path for device in DEFAULT_DEVICES}
    rows = (
        Device(path=path, kind=kind, major=major, minor=minor, mode=mode)
        for path, kind, major, minor, mode in machine.devices
    )
    return tuple(row for row in rows if row.path not in own)
