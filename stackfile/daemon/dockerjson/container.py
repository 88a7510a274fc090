"""A container as `containers/ID/json` and `containers/json` show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackfile.daemon.dockerjson import health, host_config, mounts, networking, ports, times
from stackfile.model.container import ContainerRecord, ContainerSpec, ContainerState
from stackfile.model.image import ImageConfig, ImageRecord
from stackfile.model.stack import Healthcheck, SecretRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an encoder needs beside the record. `image` is None when it has been removed since."""

    image: ImageRecord | None
    mountpoints: Mapping[str, str]
    state_dir: str
    run_dir: str
    engine_id: str = ""
    host_name: str = ""
    lower: tuple[str, ...] = ()
    """Directories of the image's layers, topmost first."""
    execs: tuple[str, ...] = ()

    @property
    def config(self) -> ImageConfig:
        return self.image.config if self.image else ImageConfig()


def inspect(record: ContainerRecord, around: Surroundings) -> dict[str, Any]:
    """The answer of `containers/ID/json`."""
    spec = record.spec
    argv = _argv(spec, around.config)
    return {
        "Id": record.id,
        "Created": times.or_zero(record.created),
        "Path": argv[0] if argv else "",
        "Args": argv[1:],
        "State": state(record.state, _has_health(spec, around.config)),
        "Image": spec.image,
        **_paths(record, around),
        "Name": f"/{spec.name}",
        "RestartCount": record.state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": list(around.execs) or None,
        "HostConfig": host_config.encode(spec),
        "GraphDriver": {
            "Name": "overlay2",
            "Data": {
                "LowerDir": ":".join(around.lower),
                "MergedDir": f"{around.run_dir}/root",
                "UpperDir": f"{around.state_dir}/upper",
                "WorkDir": f"{around.state_dir}/work",
            },
        },
        "Mounts": mounts.points(record, around.mountpoints),
        "Config": config(record, around.config, around.host_name),
        "NetworkSettings": networking.settings(record, around.config.exposed_ports, around.engine_id),
    }


def _paths(record: ContainerRecord, around: Surroundings) -> dict[str, str]:
    """Files of a container; only names of files that exist, which those in the run root do while it runs."""
    running, started = record.state.running, bool(record.state.started_at)
    names = {"ResolvConfPath": "resolv.conf", "HostnamePath": "hostname", "HostsPath": "hosts"}
    found = {key: f"{around.run_dir}/etc/{name}" if running else "" for key, name in names.items()}
    return {**found, "LogPath": record.log_path if started else ""}


def state(value: ContainerState, has_health: bool) -> dict[str, Any]:
    """State of an inspect. An end that nobody saw has code 255 and an Error that says so."""
    encoded: dict[str, Any] = {
        "Status": value.status,
        "Running": value.running,
        "Paused": value.status == "paused",
        "Restarting": value.status == "restarting",
        "OOMKilled": value.oom_killed,
        "Dead": value.status == "dead",
        "Pid": value.pid if value.running else 0,
        "ExitCode": exit_code(value),
        "Error": value.error,
        "StartedAt": times.or_zero(value.started_at),
        "FinishedAt": times.or_zero(value.finished_at),
    }
    if has_health:
        encoded["Health"] = health.state(value.health)
    return encoded


def exit_code(value: ContainerState) -> int:
    """Docker has no word for an unknown code; 255 is what it gives when it lost a container."""
    return value.exit_code if value.exit_known else 255


def config(record: ContainerRecord, image: ImageConfig, host_name: str = "") -> dict[str, Any]:
    """Config of an inspect: the container's own, completed by the image's. `host_name` is the machine's."""
    spec = record.spec
    encoded: dict[str, Any] = {
        "Hostname": spec.hostname or (host_name if spec.network_mode == "host" else "") or record.id[:12],
        "Domainname": spec.domainname,
        "User": spec.user or image.user,
        "AttachStdin": spec.stdin_once,
        "AttachStdout": spec.attach_output,
        "AttachStderr": spec.attach_output,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "StdinOnce": spec.stdin_once,
        "Env": environment(spec, image) or None,
        "Cmd": _command(spec, image),
        "Image": spec.image_name or spec.image,
        "Volumes": _volumes(spec, image),
        "WorkingDir": spec.working_dir or image.working_dir,
        "Entrypoint": _entrypoint(spec, image),
        "OnBuild": None,
        "Labels": {**image.labels, **spec.labels},
    }
    if exposed := ports.exposed(record, image.exposed_ports):
        encoded["ExposedPorts"] = {key: {} for key in exposed}
    if check := _healthcheck(spec, image):
        encoded["Healthcheck"] = health.encode(check)
    if signal := spec.stop_signal or image.stop_signal:
        encoded["StopSignal"] = signal
    if spec.stop_grace_period is not None:
        encoded["StopTimeout"] = spec.stop_grace_period // 10**9
    return encoded


def environment(spec: ContainerSpec, image: ImageConfig) -> list[str]:
    """Env: the image's and the container's. A secret shows its name, `secret:NAME`, never its content."""
    found: dict[str, str] = {}
    for entry in image.environment:
        name, _, value = entry.partition("=")
        found[name] = value
    for name, given in spec.environment.items():
        if isinstance(given, SecretRef):
            found[name] = f"secret:{given.secret}"
        elif given is not None:
            found[name] = given
    return [f"{name}={value}" for name, value in found.items()]


def _command(spec: ContainerSpec, image: ImageConfig) -> list[str] | None:
    if spec.command is not None:
        return list(spec.command)
    # An own entrypoint drops the image's command (Docker's rule).
    if spec.entrypoint is not None or image.command is None:
        return None
    return list(image.command)


def _entrypoint(spec: ContainerSpec, image: ImageConfig) -> list[str] | None:
    words = spec.entrypoint if spec.entrypoint is not None else image.entrypoint
    return list(words) if words else None


def _argv(spec: ContainerSpec, image: ImageConfig) -> list[str]:
    return [*(_entrypoint(spec, image) or []), *(_command(spec, image) or [])]


def _volumes(spec: ContainerSpec, image: ImageConfig) -> dict[str, dict[str, str]] | None:
    anonymous = [mount.target for mount in spec.mounts if mount.type == "volume" and not mount.source]
    return {target: {} for target in [*image.volumes, *anonymous]} or None


def _healthcheck(spec: ContainerSpec, image: ImageConfig) -> Healthcheck | None:
    return spec.healthcheck or image.healthcheck


def _has_health(spec: ContainerSpec, image: ImageConfig) -> bool:
    check = _healthcheck(spec, image)
    return check is not None and check.test[:1] != ("NONE",)


# ---- containers/json


def summary(record: ContainerRecord, around: Surroundings, now_ns: int, used: int | None = None) -> dict[str, Any]:
    """An entry of `containers/json`; with sizes where `used` (bytes of the writable layer) is given."""
    spec = record.spec
    encoded: dict[str, Any] = {
        "Id": record.id,
        "Names": [f"/{spec.name}"],
        "Image": spec.image_name or spec.image,
        "ImageID": spec.image,
        "Command": command_line(_argv(spec, around.config)),
        "Created": times.seconds(record.created),
        "Ports": ports.summary(record, around.config.exposed_ports),
        "Labels": {**around.config.labels, **spec.labels},
        "State": record.state.status,
        "Status": status_text(record, _has_health(spec, around.config), now_ns),
        "HostConfig": {"NetworkMode": networking.mode_of(spec)},
        "NetworkSettings": {"Networks": networking.endpoints(record, around.engine_id, listed=True)},
        "Mounts": mounts.points(record, around.mountpoints),
    }
    if used is not None:
        encoded["SizeRootFs"] = (around.image.size if around.image else 0) + used
        if used:
            encoded["SizeRw"] = used
    return encoded


def command_line(argv: list[str]) -> str:
    """argv as one line: words with spaces or quotes are quoted, as Docker shows them."""
    return " ".join(word if word and not set(word) & set(" \t\n'\"") else _quoted(word) for word in argv)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def status_text(record: ContainerRecord, has_health: bool, now_ns: int) -> str:
    """Status for a person: 'Up 3 minutes (healthy)', 'Exited (0) 5 seconds ago'."""
    value = record.state
    if value.status == "created":
        return "Created"
    if value.status in ("removing", "dead"):
        return {"removing": "Removal In Progress", "dead": "Dead"}[value.status]
    if value.status == "restarting":
        ago = times.human(now_ns - times.nanoseconds(value.finished_at))
        return f"Restarting ({exit_code(value)}) {ago} ago"
    if value.running:
        up = times.human(now_ns - times.nanoseconds(value.started_at))
        if value.status == "paused":
            return f"Up {up} (Paused)"
        return f"Up {up}{_health_text(value.health.status) if has_health else ''}"
    ago = times.human(now_ns - times.nanoseconds(value.finished_at))
    return f"Exited ({exit_code(value)}) {ago} ago"


def _health_text(status: str) -> str:
    words = {"starting": "health: starting", "healthy": "healthy", "unhealthy": "unhealthy"}
    return f" ({words[status]})" if status in words else ""
