"""The body of `containers/create` as a ContainerSpec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.daemon.dockerjson import health, host_config, machine, mounts, networking, ports, values
from stackfile.errors import ActionError
from stackfile.model.container import ContainerSpec
from stackfile.model.stack import SECOND, Attachment


def decode(body: Mapping[str, Any], name: str = "") -> ContainerSpec:
    """What a create request asks for; `image` is still the reference. Raises ActionError (`bad-request`)."""
    host = values.mapping(body, "HostConfig")
    image = values.text(body, "Image")
    if not image:
        raise ActionError("bad-request", "no image given: config.Image is empty")
    mode = values.text(host, "NetworkMode")
    auto_remove = values.flag(host, "AutoRemove")
    restart = host_config.restart_policy(host)
    if auto_remove and restart.name != "no":
        raise ActionError("bad-request", "can't create 'AutoRemove' container with restart policy")
    _refuse_unsupported(host)
    return ContainerSpec(
        name=name.removeprefix("/"),
        image=image,
        image_name=image,
        entrypoint=_command(body, "Entrypoint"),
        command=_command(body, "Cmd"),
        environment=_environment(body),
        user=values.text(body, "User"),
        working_dir=values.text(body, "WorkingDir"),
        hostname=values.text(body, "Hostname"),
        domainname=values.text(body, "Domainname"),
        labels=values.text_mapping(body, "Labels"),
        ports=ports.decode(values.mapping(host, "PortBindings")),
        publish_all=values.flag(host, "PublishAllPorts"),
        expose=tuple(values.mapping(body, "ExposedPorts")),
        mounts=mounts.decode(body, host),
        networks=_networks(body, mode),
        network_mode="" if mode == "default" else mode,
        healthcheck=health.decode(values.mapping(body, "Healthcheck")),
        restart=restart,
        resources=host_config.resources(host),
        stop_signal=values.text(body, "StopSignal"),
        stop_grace_period=_grace(body),
        tty=values.flag(body, "Tty"),
        stdin_open=values.flag(body, "OpenStdin"),
        stdin_once=values.flag(body, "StdinOnce"),
        attach_output=values.flag(body, "AttachStdout", True) or values.flag(body, "AttachStderr", True),
        init=values.flag(host, "Init"),
        read_only=values.flag(host, "ReadonlyRootfs"),
        privileged=values.flag(host, "Privileged"),
        cap_add=values.texts(host, "CapAdd"),
        cap_drop=values.texts(host, "CapDrop"),
        security_opt=values.texts(host, "SecurityOpt"),
        group_add=values.texts(host, "GroupAdd"),
        shm_size=values.number(host, "ShmSize"),
        ulimits=host_config.ulimits(host),
        extra_hosts=tuple(_extra_host(entry) for entry in values.texts(host, "ExtraHosts")),
        dns=values.texts(host, "Dns"),
        dns_search=values.texts(host, "DnsSearch"),
        dns_options=values.texts(host, "DnsOptions"),
        sysctls=values.text_mapping(host, "Sysctls"),
        oom_score_adj=values.number(host, "OomScoreAdj"),
        pid_mode=values.text(host, "PidMode"),
        ipc_mode=_ipc_mode(host),
        uts_mode=values.text(host, "UTSMode"),
        userns_mode=values.text(host, "UsernsMode"),
        cgroup_mode="host" if values.text(host, "CgroupnsMode") == "host" else "",
        devices=machine.devices(host),
        device_rules=values.texts(host, "DeviceCgroupRules"),
        volumes_from=values.texts(host, "VolumesFrom"),
        log=host_config.log_config(host),
        auto_remove=auto_remove,
        console_size=values.size(host, "ConsoleSize"),
    )


def _refuse_unsupported(host: Mapping[str, Any]) -> None:
    """What would silently be something else is refused."""
    for key in ("DeviceRequests", "Links"):
        if host.get(key):
            raise ActionError("bad-request", f"HostConfig.{key} is not supported by this engine")


def _command(body: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    """None inherits the image's. An empty list does too, but the entrypoint `[""]` (`--entrypoint ""`) resets it."""
    words = values.texts(body, key)
    if key == "Entrypoint" and words == ("",):
        return ()
    return words or None


def _environment(body: Mapping[str, Any]) -> dict[str, Any]:
    """`NAME=value`; a name alone removes the image's variable, as Docker does."""
    found: dict[str, str | None] = {}
    for entry in values.texts(body, "Env"):
        name, equals, value = entry.partition("=")
        if not name:
            raise ActionError("bad-request", f"invalid environment variable: {entry!r}")
        found[name] = value if equals else None
    return {name: value for name, value in found.items() if value is not None}


def _grace(body: Mapping[str, Any]) -> int | None:
    if body.get("StopTimeout") is None:
        return None
    seconds = values.number(body, "StopTimeout")
    # Negative means for ever; a year is that.
    return (seconds if seconds >= 0 else 31_536_000) * SECOND


def _ipc_mode(host: Mapping[str, Any]) -> str:
    mode = values.text(host, "IpcMode")
    return "" if mode == "private" else mode


def _extra_host(entry: str) -> str:
    """Docker's `name:address` as the model's `name=address`."""
    name, separator, address = entry.partition(":")
    return f"{name}={address}" if separator and "=" not in name else entry


def _networks(body: Mapping[str, Any], mode: str) -> tuple[Attachment, ...]:
    """NetworkingConfig, the network of NetworkMode first; without entries of its own that network is joined plainly."""
    configs = values.mapping(values.mapping(body, "NetworkingConfig"), "EndpointsConfig")
    for name in configs:
        values.mapping(configs, name)
    if not networking.is_network(mode):
        return tuple(
            networking.attachment("bridge" if name == "default" else name, config)
            for name, config in configs.items()
            if name not in networking.OWN_MODES
        )
    rest = [networking.attachment(name, config) for name, config in configs.items() if name != mode]
    return (networking.attachment(mode, configs.get(mode)), *rest)
