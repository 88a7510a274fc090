"""From a container's field back to the place in the file that gave it its value. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stackfile.model.stack import Origin

_WRITTEN: dict[str, tuple[str, ...]] = {
    "name": ("container_name",),
    "image_name": ("image",),
    "mounts": ("volumes", "tmpfs"),
    "files": ("configs", "secrets"),
    "restart": ("restart", "deploy/restart_policy"),
    "resources/memory": ("mem_limit", "deploy/resources/limits/memory"),
    "resources/memory_reservation": ("mem_reservation", "deploy/resources/reservations/memory"),
    "resources/memory_swap": ("memswap_limit",),
    "resources/nano_cpus": ("cpus", "deploy/resources/limits/cpus"),
    "resources/cpu_shares": ("cpu_shares",),
    "resources/cpuset": ("cpuset",),
    "resources/pids": ("pids_limit", "deploy/resources/limits/pids"),
    "resources": ("deploy/resources",),
    "dns_options": ("dns_opt",),
    "pid_mode": ("pid",),
    "ipc_mode": ("ipc",),
    "uts_mode": ("uts",),
    "cgroup_mode": ("cgroup",),
    "device_rules": ("device_cgroup_rules",),
    "resources/swappiness": ("mem_swappiness",),
    "resources/cpu_period": ("cpu_period",),
    "resources/cpu_quota": ("cpu_quota",),
    "resources/oom_kill_disable": ("oom_kill_disable",),
    "resources/blkio_weight": ("blkio_config/weight",),
    "resources/blkio": ("blkio_config",),
    "log": ("logging",),
    "labels": ("labels", "deploy/labels"),
    "replicas": ("deploy/replicas", "scale"),
}
"""Field of a container → keys of a service as a file has them, where the names differ."""


def find(origins: Mapping[str, Origin], address: str, path: str) -> Origin | None:
    """Where the value at `path` (`environment/LOG_LEVEL`) of `address` (`service.web`) was written.

    The nearest enclosing place that is known, the resource itself at last.
    """
    for key in _candidates(path):
        origin = origins.get(f"{address}/{key}")
        if origin is not None:
            return origin
    return origins.get(address) or origins.get(f"{address}/")


def _candidates(path: str) -> Iterator[str]:
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        prefix, rest = "/".join(parts[:length]), parts[length:]
        for written in _WRITTEN.get(prefix, (prefix,) if length == 1 else ()):
            for end in range(len(rest), -1, -1):
                yield "/".join((written, *rest[:end]))
