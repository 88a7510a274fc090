"""HostConfig: what of a container belongs to the machine it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.daemon.dockerjson import machine, mounts, networking, ports, values
from stackfile.errors import ActionError
from stackfile.model.container import ContainerSpec, LogConfig
from stackfile.model.stack import Resources, RestartPolicy, Ulimit

DEFAULT_SHM = 64 * 1024 * 1024
MASKED_PATHS = [
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
]  # fmt: skip
READ_ONLY_PATHS = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")
_UNITS = {"k": 1000, "m": 1000**2, "g": 1000**3}


# ---- decode


def resources(host: Mapping[str, Any]) -> Resources:
    """Limits. Raises ActionError (`bad-request`)."""
    return Resources(
        memory=_natural(host, "Memory"),
        memory_reservation=_natural(host, "MemoryReservation"),
        memory_swap=values.number(host, "MemorySwap"),
        nano_cpus=values.number(host, "NanoCpus"),
        cpu_quota=values.number(host, "CpuQuota"),
        cpu_period=values.number(host, "CpuPeriod"),
        cpu_shares=_natural(host, "CpuShares"),
        cpuset=values.text(host, "CpusetCpus"),
        pids=max(0, values.number(host, "PidsLimit")),
        swappiness=machine.swappiness(host),
        oom_kill_disable=values.flag(host, "OomKillDisable"),
        blkio_weight=_natural(host, "BlkioWeight"),
        blkio=machine.blkio(host),
    )


def _natural(source: Mapping[str, Any], key: str) -> int:
    number = values.number(source, key)
    if number < 0:
        raise ActionError("bad-request", f"{key} must not be negative")
    return number


def restart_policy(host: Mapping[str, Any]) -> RestartPolicy:
    policy = values.mapping(host, "RestartPolicy")
    name = values.text(policy, "Name") or "no"
    retries = values.number(policy, "MaximumRetryCount")
    if name not in _RESTARTS:
        raise ActionError("bad-request", f"invalid restart policy {name!r}")
    if retries and name != "on-failure":
        raise ActionError("bad-request", f"maximum retry count cannot be used with restart policy {name!r}")
    return RestartPolicy(name=name, max_retries=max(0, retries))


def ulimits(host: Mapping[str, Any]) -> tuple[Ulimit, ...]:
    return tuple(
        Ulimit(name=values.text(item, "Name"), soft=values.number(item, "Soft"), hard=values.number(item, "Hard"))
        for item in values.objects(host, "Ulimits")
    )


def log_config(host: Mapping[str, Any]) -> LogConfig:
    """LogConfig; `max-size` and `max-file` of any driver count, an empty driver is the default's."""
    config = values.mapping(host, "LogConfig")
    options = values.text_mapping(config, "Config")
    default = LogConfig()
    return LogConfig(
        driver=values.text(config, "Type") or default.driver,
        max_size=_log_size(options.get("max-size", "")) or default.max_size,
        max_files=_log_files(options.get("max-file", "")) or default.max_files,
        options=options,
    )


def _log_size(text: str) -> int:
    if not text or text == "-1":
        return 0
    number = text.lower().removesuffix("b")
    factor = _UNITS.get(number[-1:], 1)
    number = number.rstrip("kmg")
    if not number.isdigit():
        raise ActionError("bad-request", f"invalid max-size {text!r}")
    return int(number) * factor


def _log_files(text: str) -> int:
    if text and not text.isdigit():
        raise ActionError("bad-request", f"invalid max-file {text!r}")
    return int(text or 0)


# ---- encode


def encode(spec: ContainerSpec) -> dict[str, Any]:
    """HostConfig of an inspect."""
    return {
        "Binds": mounts.encode_binds(spec.mounts) or None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": spec.log.driver, "Config": dict(spec.log.options)},
        "NetworkMode": networking.mode_of(spec),
        "PortBindings": ports.bindings(spec.ports),
        "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.max_retries},
        "AutoRemove": spec.auto_remove,
        "VolumeDriver": "",
        "CapAdd": list(spec.cap_add) or None,
        "CapDrop": list(spec.cap_drop) or None,
        "Dns": list(spec.dns),
        "DnsOptions": list(spec.dns_options),
        "DnsSearch": list(spec.dns_search),
        "ExtraHosts": [_extra_host(entry) for entry in spec.extra_hosts] or None,
        "GroupAdd": list(spec.group_add) or None,
        "IpcMode": spec.ipc_mode or "private",
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": spec.oom_score_adj,
        "PidMode": spec.pid_mode,
        "Privileged": spec.privileged,
        "PublishAllPorts": spec.publish_all,
        "ReadonlyRootfs": spec.read_only,
        "SecurityOpt": list(spec.security_opt) or None,
        "ShmSize": spec.shm_size or DEFAULT_SHM,
        "Runtime": "stackfile",
        "ConsoleSize": list(spec.console_size),
        "Isolation": "",
        **_resources(spec),
        **machine.encode(spec),
        "MaskedPaths": None if spec.privileged else MASKED_PATHS,
        "ReadonlyPaths": None if spec.privileged else READ_ONLY_PATHS,
        **_optional(spec),
    }


def _extra_host(entry: str) -> str:
    """`name=address` of the model as Docker's `name:address`."""
    name, separator, address = entry.partition("=")
    return f"{name}:{address}" if separator else entry


def _resources(spec: ContainerSpec) -> dict[str, Any]:
    limits = spec.resources
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "CgroupParent": "",
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": limits.cpuset,
        "CpusetMems": "",
        "DeviceRequests": None,
        "KernelMemory": 0,
        "KernelMemoryTCP": 0,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap or 2 * limits.memory,
        "PidsLimit": limits.pids or None,
        "Ulimits": [{"Name": item.name, "Hard": item.hard, "Soft": item.soft} for item in spec.ulimits],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _optional(spec: ContainerSpec) -> dict[str, Any]:
    """Keys that Docker leaves out when they are empty."""
    optional: dict[str, Any] = {}
    if spec.init:
        optional["Init"] = True
    if spec.sysctls:
        optional["Sysctls"] = dict(spec.sysctls)
    if tmpfs := mounts.encode_tmpfs(spec.mounts):
        optional["Tmpfs"] = tmpfs
    return optional
