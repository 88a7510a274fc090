"""A loaded stack: what the file means once every template, variable, overlay and default is resolved."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackfile.errors import Place

SECOND = 1_000_000_000
"""Durations are integers in nanoseconds, as in the Docker API."""


@dataclass(frozen=True, slots=True)
class Via:
    """A step between a value and the place that uses it, e.g. `values.log_level`."""

    name: str
    at: Place


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: the place that uses it, and through what."""

    at: Place
    via: tuple[Via, ...] = ()


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A value that is the content of a secret of the stack."""

    secret: str


# ---------------------------------------------------------------- images


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """A health check (Compose `healthcheck`). `test` is Docker's form: ("CMD", …), ("CMD-SHELL", text), ("NONE",)."""

    test: tuple[str, ...]
    interval: int = 30 * SECOND
    timeout: int = 30 * SECOND
    retries: int = 3
    start_period: int = 0
    start_interval: int = 5 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMount:
    """A mount of one `run` step (Dockerfile `RUN --mount`). type: bind, cache, tmpfs, secret.

    `from_image` is what `source` is taken from; empty for the build context (bind) or an empty directory (cache).
    """

    type: str
    target: str
    source: str = ""
    from_image: str = ""
    id: str = ""
    read_only: bool = False
    required: bool = False
    sharing: str = "shared"
    uid: int = 0
    gid: int = 0
    mode: int | None = None
    size: int = 0
    context: str = ""
    """Digest of the context manifest that `source` is taken from, where there is no `from_image`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One recipe step. `kind` is the instruction key; exactly the fields of that kind are set.

    kind      fields
    host      programs, paths, packages, dependencies, users, exclude
    copy, add source, target, chown, chmod, from_image; `context` is filled by who reads the files
    run       argv (a string in the file becomes ("/bin/sh", "-ec", text)), mounts, network
    env, label, arg    mapping
    workdir, user, stopsignal    text
    entrypoint, cmd, shell, expose, volume, onbuild    argv
    healthcheck    healthcheck
    """

    kind: str
    programs: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    target: str = ""
    chown: str = ""
    chmod: str = ""
    from_image: str = ""
    context: str = ""
    """Digest of the context manifest that holds what `source` names; empty until the files were read."""
    argv: tuple[str, ...] = ()
    mapping: dict[str, str] = field(default_factory=dict)
    text: str = ""
    healthcheck: Healthcheck | None = None
    packages: tuple[str, ...] = ()
    """Installed packages of the machine, by name or pattern."""
    dependencies: bool = False
    """Whether the packages' dependencies come along."""
    users: tuple[str, ...] = ()
    """Accounts of the machine."""
    exclude: tuple[str, ...] = ()
    """Patterns of paths of packages that stay behind."""
    mounts: tuple[RunMount, ...] = ()
    network: str = ""
    """default (also empty), none, host."""
    whole: bool = False
    """`context` is a whole build context, of which `source` chooses."""
    inline: dict[str, str] = field(default_factory=dict)
    """Sources whose content stands in the Dockerfile itself: name → text."""
    checksum: str = ""
    """What the content of a source that is a URL must be."""
    extra_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """`build:` of an image: a Dockerfile and its context. What is read of the caller's files is filled by who reads.

    `dockerfile` is its path for a person and `text` its content; `manifest` is the digest of the context's manifest.
    """

    context: str = ""
    """Directory of the caller's machine, absolute."""
    dockerfile: str = "Dockerfile"
    file: str = ""
    """Path of the Dockerfile, absolute; empty where `text` was written in the stack file."""
    text: str = ""
    manifest: str = ""
    target: str = ""
    args: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    contexts: dict[str, str] = field(default_factory=dict)
    """Named contexts: a directory, `image:KEY` of the stack, or `docker-image://REFERENCE`."""
    manifests: dict[str, str] = field(default_factory=dict)
    """Named contexts that are directories → digest of their manifest."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Id that the Dockerfile uses → secret of the stack."""
    secret_texts: dict[str, str] = field(default_factory=dict, repr=False)
    no_cache: bool = False
    images: tuple[str, ...] = ()
    """Images of the stack that the Dockerfile is based on or copies from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageResource:
    """An image of the stack: `from` plus recipe steps, or `build`.

    `base` is `scratch`, a stack image, a reference, or an archive's path as it was written.
    """

    name: str
    base: str = "scratch"
    base_is_stack_image: bool = False
    base_path: str = ""
    """Where `base` is an archive or a layout on the caller's machine: its absolute path."""
    base_context: str = ""
    """Digest of that archive's or layout's manifest, filled by who reads it."""
    steps: tuple[Step, ...] = ()
    tags: tuple[str, ...] = ()
    """Full references, the default `<project>/<name>:latest` first."""
    build: Build | None = None
    service: str = ""
    """The service whose `build:` it is; "" where it stands under `images:`."""


# ---------------------------------------------------------------- services


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`depends_on` of one target. condition: service_started, service_healthy, service_completed_successfully."""

    condition: str = "service_started"
    restart: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A published port (one port; ranges are expanded). `published` 0 lets the engine choose."""

    target: int
    published: int = 0
    host_ip: str = ""
    protocol: str = "tcp"
    mode: str = "ingress"
    published_last: int = 0
    """The end of a range of host ports that begins with `published`, of which the engine takes a free one; else 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mount of a service or container. type: volume, bind, tmpfs. `source` is a volume key, a path, or empty."""

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    nocopy: bool = False
    subpath: str = ""
    propagation: str = ""
    create_host_path: bool = True
    recursive: bool = True
    """Whether the mounts below a bind's source come along."""
    tmpfs_size: int = 0
    tmpfs_mode: int = 0o1777
    tmpfs_options: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRef:
    """A config or secret given to a service as a file. kind: config, secret."""

    kind: str
    source: str
    target: str
    uid: str = "0"
    gid: str = "0"
    mode: int = 0o444
    on_change: str = "restart"
    """restart, recreate, none, or a signal name such as SIGHUP."""
    content: str | None = None
    """Set where the content differs by replica; else the resource's content counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Membership of a network. `network` is the stack's key in a service, the network's name in a container."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    priority: int = 0
    gateway_priority: int = 0
    """Goes before `priority`, which decides among equals who gives the default route."""
    interface: str = ""
    """Name of the interface in the container; empty for the next of eth0, eth1, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlkioLimit:
    """A limit of one block device. kind: weight, read_bps, write_bps, read_iops, write_iops; `rate` in its unit."""

    kind: str
    path: str
    rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits. Bytes for memory, CPUs in billionths (Docker's NanoCpus), 0 or "" where there is no limit."""

    memory: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpuset: str = ""
    pids: int = 0
    cpu_period: int = 0
    """Microseconds; with `cpu_quota` another way to say `nano_cpus`."""
    cpu_quota: int = 0
    swappiness: int | None = None
    """0 to 100; None leaves the kernel's."""
    oom_kill_disable: bool = False
    blkio_weight: int = 0
    blkio: tuple[BlkioLimit, ...] = ()

    @property
    def cpu_time(self) -> int:
        """CPUs in billionths, whichever way they are given."""
        return self.nano_cpus or max(self.cpu_quota, 0) * 1_000_000_000 // (self.cpu_period or 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """name: no, always, unless-stopped, on-failure. `max_retries` 0 means without end."""

    name: str = "no"
    max_retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """Log of a container: driver (json-file, local, none), bytes per file and number of files."""

    driver: str = "json-file"
    max_size: int = 10_000_000
    max_files: int = 3
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMapping:
    """A device of the engine's machine in a container (`devices`). `permissions` are letters of r, w, m."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A command in a container after its start or before its stop (`post_start`, `pre_stop`)."""

    command: tuple[str, ...]
    user: str = ""
    privileged: bool = False
    working_dir: str = ""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How replicas are replaced (`deploy.update_config`, `rollback_config`). Times in nanoseconds.

    order: stop-first, start-first. failure_action: pause, continue, rollback.
    """

    parallelism: int = 1
    delay: int = 0
    order: str = "stop-first"
    failure_action: str = "pause"
    monitor: int = 0
    max_failure_ratio: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the stack, one of a `for_each` group included."""

    name: str
    image: str
    """A key of the stack's images when `image_is_stack_image`, else a reference."""
    image_is_stack_image: bool = False
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: dict[str, str | SecretRef | None] = field(default_factory=dict)
    """None passes the variable through from the image (Compose: `KEY:` without a value that is not set)."""
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    container_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    expose: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    files: tuple[FileRef, ...] = ()
    networks: tuple[Attachment, ...] = ()
    network_mode: str = ""
    """Empty for the networks above; else none, host, service:NAME, container:NAME."""
    depends_on: dict[str, Dependency] = field(default_factory=dict)
    healthcheck: Healthcheck | None = None
    restart: RestartPolicy = RestartPolicy()
    resources: Resources = Resources()
    replicas: int = 1
    variants: tuple[Service, ...] = ()
    """Where the service depends on `replica.index` or `.count`: the whole service as replica 1, 2, … sees it."""
    counts_replicas: bool = False
    stop_signal: str = ""
    stop_grace_period: int | None = None
    tty: bool = False
    stdin_open: bool = False
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
    """`name=address`."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    sysctls: dict[str, str] = field(default_factory=dict)
    oom_score_adj: int = 0
    pull_policy: str = ""
    profiles: tuple[str, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)
    attach: bool = True
    """Whether `up --follow` shows its log."""
    log: LogConfig = LogConfig()
    pid_mode: str = ""
    """Empty for its own; else host, service:NAME, container:NAME. As `ipc_mode`, which has private, shareable too."""
    ipc_mode: str = ""
    uts_mode: str = ""
    """Empty or host. As `userns_mode`; `cgroup_mode` is empty, host or private."""
    userns_mode: str = ""
    cgroup_mode: str = ""
    devices: tuple[DeviceMapping, ...] = ()
    device_rules: tuple[str, ...] = ()
    """`TYPE MAJOR:MINOR ACCESS`, as in cgroup v1's devices.allow."""
    volumes_from: tuple[str, ...] = ()
    """`NAME[:ro]` of a service, or `container:NAME[:ro]`."""
    platform: str = ""
    """`os/architecture[/variant]`."""
    post_start: tuple[Hook, ...] = ()
    pre_stop: tuple[Hook, ...] = ()
    update: Rollout = Rollout()
    rollback: Rollout = Rollout()
    deploy_labels: dict[str, str] = field(default_factory=dict)
    """Labels of the service itself, not of its containers."""

    def replica(self, index: int) -> Service:
        """The service as replica `index` (from 1) sees it."""
        return self.variants[index - 1] if 0 < index <= len(self.variants) else self


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkResource:
    """A network of the stack. `full_name` is the engine's name, `<project>_<name>` unless `name:` says otherwise."""

    name: str
    full_name: str
    driver: str = "bridge"
    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    internal: bool = False
    attachable: bool = False
    enable_ipv6: bool = False
    external: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    ip_ranges: tuple[str, ...] = ()
    """By subnet: the part of it that addresses are leased from; empty, or "" for all of a subnet."""
    reserved: tuple[str, ...] = ()
    """Addresses that are never leased (`aux_addresses`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeResource:
    """A volume of the stack."""

    name: str
    full_name: str
    driver: str = "local"
    external: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generate:
    """How a secret is made when it does not exist. charset: alnum, hex, base64, or the characters themselves."""

    length: int = 32
    charset: str = "alnum"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigResource:
    """A config. `content` is its text; None where only per-replica contents exist (FileRef.content), or `external`."""

    name: str
    content: str | None = None
    external: str = ""
    """Full name (`<project>_<name>`) of another stack's config, which this one only uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretResource:
    """A secret: `content` (from a file, variable, command or literal) or `generate`.

    `content` may be composed of other secrets: then it is a tuple of literals and SecretRefs.
    """

    name: str
    content: tuple[str | SecretRef, ...] | None = field(default=None, repr=False)
    generate: Generate | None = None
    command: tuple[str, ...] = ()
    """Prints the content; run by who loads the stack, with his rights, for plan and up alone."""
    external: str = ""
    """Full name (`<project>_<name>`) of another stack's secret, which this one only uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A key that is accepted but has no effect here: plans say so. `path` is a JSON pointer in the resource."""

    address: str
    path: str
    at: Place
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A whole stack, ready to be turned into a graph of resources.

    `origins` maps `<kind>.<name>/<json pointer>` (e.g. `service.web/environment/LOG_LEVEL`) to where it was written.
    """

    name: str
    environment: str = ""
    directory: str = ""
    files: tuple[str, ...] = ()
    images: dict[str, ImageResource] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    networks: dict[str, NetworkResource] = field(default_factory=dict)
    volumes: dict[str, VolumeResource] = field(default_factory=dict)
    configs: dict[str, ConfigResource] = field(default_factory=dict)
    secrets: dict[str, SecretResource] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Group of a `for_each` (`worker`) to its members (`worker-mail`, …)."""
    origins: dict[str, Origin] = field(default_factory=dict)
    ignored: tuple[Ignored, ...] = ()
