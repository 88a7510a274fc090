"""What the shim is told: everything that a container or an exec needs, decided beforehand.

The shim decides nothing; these dataclasses are complete. They travel as JSON in a sealed memfd (environment variables
may hold secrets), so every field is text, number, bytes (base64 in JSON), tuple or another of these classes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The root file system. kind: `overlay` (lower topmost first, upper, work) or `directory` (upper alone)."""

    kind: str
    lower: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """A path of the host at `target` in the container (resolved inside the root; made when it is missing).

    `propagation` is one of private, rprivate, slave, rslave, shared, rshared ("" is rprivate). `recursive` takes the
    mounts below the source along.
    """

    source: str
    target: str
    read_only: bool = False
    recursive: bool = True
    propagation: str = ""
    subpath: str = ""
    """Resolved below `source` without ever leaving it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsMount:
    """A tmpfs at `target`. `size` in bytes, 0 for the kernel's default (half of the memory)."""

    target: str
    size: int = 0
    mode: int = 0o1777
    options: tuple[str, ...] = ()
    """Further options as mount(8) writes them: `noexec`, `exec`, `ro`, `uid=1000`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device node. kind: c or b. `mode` are permission bits."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rlimit:
    """A resource limit by its number (resource.RLIMIT_*); -1 is unlimited."""

    resource: int
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupHandle:
    """The cgroup of a container.

    `paths` are the directories to join: one a controller hierarchy on v1, one alone on v2. `views` are what the
    container sees below /sys/fs/cgroup: (directory name, mount options) on v1, empty on v2.
    """

    version: int
    paths: tuple[str, ...]
    views: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who runs: numeric ids, supplementary groups and home directory."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """Where output goes: directory, bytes a file, number of files."""

    directory: str
    max_size: int = 10_000_000
    max_files: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What a process may do. Capability sets are bit masks; `seccomp` a classic BPF program ("" for none)."""

    capabilities: int
    ambient: int = 0
    seccomp: bytes = b""
    no_new_privileges: bool = False
    apparmor: str = ""
    """Profile to change to on exec; empty where the machine has no AppArmor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One program: what, as whom, where, with what."""

    argv: tuple[str, ...]
    environment: tuple[str, ...]
    """`NAME=value`, complete."""
    working_dir: str
    account: Account
    security: Security
    rlimits: tuple[Rlimit, ...] = ()
    oom_score_adj: int = 0
    tty: bool = False
    size: tuple[int, int] = (0, 0)
    """Rows and columns of the terminal before the program begins; zeros leave it without a size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """A whole container.

    network: `join` (the network namespace passed by descriptor), `new` (one of its own with nothing in it), `host`.
    """

    container: str
    """Id, 64 hex."""
    process: Process
    hostname: str
    domainname: str = ""
    root: Root
    mounts: tuple[BindMount, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    devices: tuple[Device, ...] = ()
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    shm_size: int = 64 << 20
    cgroup: CgroupHandle
    network: str = "join"
    pid_host: bool = False
    ipc_host: bool = False
    uts_host: bool = False
    cgroup_host: bool = False
    join_pid: str = ""
    """Id of the container whose pid namespace it shares; as `join_ipc`, whose /dev/shm it has too."""
    join_ipc: str = ""
    privileged: bool = False
    """/sys and the cgroup view are writable, all devices of the host are there."""
    init: bool = False
    """The forked child stays as pid 1: it reaps and forwards signals."""
    stdin_open: bool = False
    run_dir: str
    """RUN/containers/<id>: FIFOs, shim.json, mount point of the root."""
    logs: Logs
    warnings: tuple[str, ...] = ()
    """What could not be given as asked, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecInstructions:
    """One more program in a running container."""

    container: str
    exec_id: str
    process: Process
    cgroup: CgroupHandle
    run_dir: str
