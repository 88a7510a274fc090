"""Containers, networks and volumes as an engine holds them (Docker's nouns)."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackfile.model.stack import (
    Attachment,
    Dependency,
    DeviceMapping,
    Healthcheck,
    Hook,
    LogConfig,
    Mount,
    Port,
    Resources,
    RestartPolicy,
    SecretRef,
    Ulimit,
)

__all__ = [
    "ContainerRecord", "ContainerSpec", "ContainerState", "Endpoint", "EngineInfo", "ExecRecord", "ExecSpec",
    "ExitStatus", "FileMount", "Health", "HealthLogEntry", "LogConfig", "NetworkRecord", "PublishedPort", "Stats",
    "VolumeRecord",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMount:
    """A config or secret as a file in a container. `key` (an HMAC) names the content in the engine's file store."""

    kind: str
    name: str
    target: str
    key: str
    uid: str = "0"
    gid: str = "0"
    mode: int = 0o444
    on_change: str = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """Everything that makes a container what it is; stored whole, compared field by field.

    A new field needs a default that leaves existing specs' hashes alone (`wire.canonical` leaves defaults out).
    """

    spec_version: int = 1
    name: str = ""
    image: str = ""
    """Image id (`sha256:…`)."""
    image_name: str = ""
    """As the user wrote it."""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: dict[str, str | SecretRef | None] = field(default_factory=dict)
    secret_keys: dict[str, str] = field(default_factory=dict)
    """Secret name → key in the file store, for the SecretRefs of `environment`."""
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    publish_all: bool = False
    expose: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    """Volume mounts name the engine's volume (`<project>_<name>`); an empty source is an anonymous volume."""
    files: tuple[FileMount, ...] = ()
    networks: tuple[Attachment, ...] = ()
    """By the engine's network name. Empty with an empty network_mode means the engine's default network."""
    network_mode: str = ""
    """Empty, or bridge, none, host, container:<id>, or a network name."""
    depends_on: dict[str, Dependency] = field(default_factory=dict)
    """Services of the same project: the order at boot."""
    healthcheck: Healthcheck | None = None
    restart: RestartPolicy = RestartPolicy()
    resources: Resources = Resources()
    stop_signal: str = ""
    stop_grace_period: int | None = None
    """Nanoseconds; None is the engine's default of 10 s."""
    tty: bool = False
    stdin_open: bool = False
    stdin_once: bool = False
    attach_output: bool = True
    """False where whoever created it said that nobody would attach to its output; a record for clients only."""
    init: bool = False
    read_only: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    shm_size: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    sysctls: dict[str, str] = field(default_factory=dict)
    oom_score_adj: int = 0
    pid_mode: str = ""
    """Empty, host, or container:<name or id>; as `ipc_mode`, which may be private, shareable or none too."""
    ipc_mode: str = ""
    log: LogConfig = LogConfig()
    auto_remove: bool = False
    annotations: dict[str, str] = field(default_factory=dict)
    uts_mode: str = ""
    userns_mode: str = ""
    cgroup_mode: str = ""
    devices: tuple[DeviceMapping, ...] = ()
    device_rules: tuple[str, ...] = ()
    volumes_from: tuple[str, ...] = ()
    """`CONTAINER[:ro]`, by name or id."""
    platform: str = ""
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    console_size: tuple[int, int] = (0, 0)
    """Rows and columns that its terminal begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLogEntry:
    start: str
    end: str
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """status: none, starting, healthy, unhealthy."""

    status: str = "none"
    failing_streak: int = 0
    log: tuple[HealthLogEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerState:
    """status: created, running, paused, restarting, removing, exited, dead. Times are RFC 3339, "" when unknown."""

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    exit_known: bool = True
    """False where the end could not be observed; `error` says why, the code is not invented."""
    error: str = ""
    oom_killed: bool = False
    """The kernel has killed one of its processes for lack of memory since it was last started."""
    oom_kills: int = 0
    """How many, as far as it was told while it ran."""
    started_at: str = ""
    finished_at: str = ""
    restart_count: int = 0
    restart_delay: float = 0.0
    """Seconds before the last start by policy, from which the next back-off is reckoned; 0 before the first."""
    health: Health = Health()
    stopped_by_user: bool = False
    """It ended because somebody stopped or killed it through the engine; cleared by the next start."""

    @property
    def exit_status(self) -> ExitStatus:
        """How it ended last."""
        return ExitStatus(exit_code=self.exit_code, error=self.error, oom_killed=self.oom_killed, known=self.exit_known)

    @property
    def running(self) -> bool:
        return self.status in ("running", "paused", "restarting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A container's place in a network."""

    network: str
    network_id: str
    ipv4: str = ""
    ipv4_prefix: int = 0
    gateway: str = ""
    ipv6: str = ""
    ipv6_prefix: int = 0
    gateway6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port as it is really published (host port chosen)."""

    target: int
    published: int
    host_ip: str
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRecord:
    """A container in the engine."""

    id: str
    spec: ContainerSpec
    state: ContainerState
    created: str
    """RFC 3339."""
    endpoints: tuple[Endpoint, ...] = ()
    published: tuple[PublishedPort, ...] = ()
    log_path: str = ""
    pids: int = 0
    memory: int = 0
    """Bytes in use, 0 when not running."""
    volumes: dict[str, str] = field(default_factory=dict)
    """Target → volume name, anonymous ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRecord:
    id: str
    name: str
    driver: str = "bridge"
    scope: str = "local"
    created: str = ""
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    internal: bool = False
    attachable: bool = False
    enable_ipv6: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    interface: str = ""
    """The bridge's name."""
    ip_ranges: tuple[str, ...] = ()
    """By subnet: where addresses are leased from; empty for all of it."""
    reserved: tuple[str, ...] = ()
    """Addresses that are never leased."""

    @property
    def has_ipv6(self) -> bool:
        """Whether one of its subnets is of IPv6."""
        return any(":" in subnet for subnet in self.subnets)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeRecord:
    name: str
    driver: str = "local"
    mountpoint: str = ""
    created: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    anonymous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSpec:
    """A command to run in a running container."""

    argv: tuple[str, ...]
    tty: bool = False
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    environment: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    privileged: bool = False
    detach_keys: str = ""
    console_size: tuple[int, int] = (0, 0)
    """Rows and columns that its terminal begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecRecord:
    id: str
    container: str
    spec: ExecSpec
    running: bool = False
    exit_code: int | None = None
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStatus:
    """How a container ended: the code as Docker gives it (128+n for a signal)."""

    exit_code: int
    error: str = ""
    oom_killed: bool = False
    known: bool = True

    @property
    def words(self) -> str:
        """The code for a person: `137, out of memory`; `?` where nobody saw the end."""
        return f"{self.exit_code if self.known else '?'}{', out of memory' if self.oom_killed else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Usage of a running container at one moment. Bytes, nanoseconds, counts."""

    time: str
    cpu_total: int
    cpu_system: int
    online_cpus: int
    memory: int
    memory_limit: int
    memory_cache: int
    pids: int
    pids_limit: int
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    read_bytes: int
    write_bytes: int
    cpu_user: int = 0
    cpu_kernel: int = 0
    cpu_each: tuple[int, ...] = ()
    """Nanoseconds by CPU, where the kernel counts so."""
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0
    memory_peak: int = 0
    memory_details: dict[str, int] = field(default_factory=dict)
    """The kernel's own names and numbers."""
    io: tuple[tuple[int, int, str, int], ...] = ()
    """(major, minor, read or write, bytes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What the engine says of itself and of the machine."""

    id: str
    version: str
    root: str
    kernel: str
    operating_system: str
    architecture: str
    cpus: int
    memory: int
    cgroup_version: str
    storage_driver: str
    containers: int
    running: int
    paused: int
    stopped: int
    images: int
    name: str
    warnings: tuple[str, ...] = ()
    os_version: str = ""
    backing: str = ""
    """File system that holds the state root."""
    bridge_nf: tuple[bool, bool] = (False, False)
    """Whether bridged IPv4 and IPv6 packets pass the machine's firewall."""
    forwarding: bool = True
    descriptors: int = 0
    tasks: int = 0
