"""The canonical form of a stack: a stack file without templates, variables, groups or defaults.

It can be loaded again. The content of secrets is never in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from typing import Any, Literal

import yaml

from stackfile.language import scalars
from stackfile.model.stack import (
    SECOND,
    Build,
    ConfigResource,
    FileRef,
    Healthcheck,
    Hook,
    ImageResource,
    LogConfig,
    Mount,
    NetworkResource,
    Port,
    Resources,
    Rollout,
    SecretRef,
    SecretResource,
    Service,
    Stack,
    Step,
    VolumeResource,
)

HIDDEN = "(hidden)"
Plain = dict[str, Any]
_TEMPLATE = re.compile(r"\{(?=[{%#])")


def dump(stack: Stack, format: Literal["yaml", "json"] = "yaml") -> str:  # noqa: A002 (the name of the option)
    """The canonical form as text that ends in a newline."""
    return text_of(to_plain(stack), format)


def text_of(plain: Plain, format: Literal["yaml", "json"]) -> str:  # noqa: A002
    """Plain data as text that ends in a newline."""
    if format == "json":
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, width=4096, allow_unicode=True)
    return text


def to_plain(stack: Stack, services: Collection[str] = ()) -> Plain:
    """The canonical form as plain data, with the keys of a stack file; of `services` and what they need, or of all."""
    stack = replace(stack, services=_selected(stack, services)) if services else stack
    sections: dict[str, tuple[dict[str, Any], Callable[[Any], Plain]]] = {
        "images": (stack.images, _image),
        "services": (stack.services, _service),
        "networks": (stack.networks, _network),
        "volumes": (stack.volumes, _volume),
        "configs": (stack.configs, _config),
        "secrets": (stack.secrets, _secret),
    }
    result: Plain = {"name": stack.name}
    if stack.environment:
        result["x-environment"] = stack.environment
    for name, (resources, render) in sections.items():
        if resources:
            result[name] = {key: _escaped(render(resource)) for key, resource in resources.items()}
    _move_builds(stack, result)
    return result


def _selected(stack: Stack, names: Collection[str]) -> dict[str, Service]:
    wanted, rest = set[str](), [member for name in names for member in stack.groups.get(name, (name,))]
    while rest:
        name = rest.pop()
        if name in stack.services and name not in wanted:
            wanted.add(name)
            rest.extend(stack.services[name].depends_on)
    return {name: service for name, service in stack.services.items() if name in wanted}


def _move_builds(stack: Stack, result: Plain) -> None:
    """A service's own image stands where it was written: as `build` of the service."""
    for key, image in stack.images.items():
        if not image.service or image.build is None or image.service not in result.get("services", {}):
            continue
        service = result["services"][image.service]
        del service["image"]
        build = _escaped(_build(image.build, stack.images) | _filled(tags=image.tags[1:]))
        named = image.tags[0] if image.tags[0] != f"{stack.name}-{image.service.lower()}:latest" else ""
        result["services"][image.service] = {"build": build, **_filled(image=named), **service}
        del result["images"][key]
    if not result.get("images", True):
        del result["images"]


def _escaped(value: Any) -> Any:
    """Text that reads back as itself: `$` and template braces are literal."""
    if isinstance(value, str):
        return _TEMPLATE.sub("{{ '{' }}", value).replace("$", "$$") if "$" in value or "{" in value else value
    if isinstance(value, dict):
        return {key: _escaped(child) for key, child in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


def _filled(**fields: Any) -> Plain:
    """The fields that say something."""
    return {
        key.rstrip("_"): list(value) if isinstance(value, tuple) else value
        for key, value in fields.items()
        if value is not None and value is not False and value not in ("", (), {}, [])
    }


def duration(nanoseconds: int) -> str:
    """Nanoseconds as a duration of a stack file, in the largest unit that is exact."""
    for unit, factor in (("h", 3600 * SECOND), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1_000_000), ("us", 1000)):
        if nanoseconds and nanoseconds % factor == 0:
            return f"{nanoseconds // factor}{unit}"
    return f"{nanoseconds}ns" if nanoseconds else "0s"


# ---------------------------------------------------------------- resources


def _context(value: str, images: Mapping[str, ImageResource]) -> str:
    """A named context as it is written: a directory, a reference, an image of the stack, the image of a service."""
    key = value.removeprefix("image:")
    made = images.get(key) if key != value else None
    return f"service:{made.service}" if made is not None and made.service else key


def _build(build: Build, images: Mapping[str, ImageResource]) -> Plain:
    return _filled(
        context=build.context,
        dockerfile=build.dockerfile if build.file else "",
        dockerfile_inline="" if build.file else build.text,
        target=build.target,
        args=build.args,
        labels=build.labels,
        network=build.network,
        extra_hosts=build.extra_hosts,
        additional_contexts={name: _context(value, images) for name, value in build.contexts.items()},
        secrets=[{"source": source, "target": name} for name, source in build.secrets.items()],
        no_cache=build.no_cache,
    )


def _image(image: ImageResource) -> Plain:
    if image.build is not None:
        return _filled(build=_build(image.build, {}), tags=image.tags[1:])
    base = image.base_path or image.base
    return _filled(from_=base, steps=[_step(step) for step in image.steps], tags=image.tags[1:])


def _step(step: Step) -> Plain:
    if step.kind == "host":
        named = _filled(
            programs=step.programs,
            paths=step.paths,
            packages=step.packages,
            dependencies=step.dependencies,
            users=step.users,
            exclude=step.exclude,
        )
        return {"host": named}
    if step.kind in ("copy", "add"):
        parts = _filled(
            source=step.source, target=step.target, chown=step.chown, chmod=step.chmod, from_=step.from_image
        )
        return {step.kind: parts}
    if step.healthcheck is not None:
        return {step.kind: _healthcheck(step.healthcheck)}
    return {step.kind: step.mapping or step.text or list(step.argv)}


def _network(network: NetworkResource) -> Plain:
    gateways = network.gateways or ("",) * len(network.subnets)
    pairs = zip(network.subnets, gateways, strict=True)
    config = [_filled(subnet=subnet, gateway=gateway) for subnet, gateway in pairs]
    for entry, ip_range in zip(config, network.ip_ranges, strict=False):
        entry.update(_filled(ip_range=ip_range))
    if config and network.reserved:
        config[0]["aux_addresses"] = {f"reserved-{number}": text for number, text in enumerate(network.reserved)}
    return _filled(
        name=network.full_name,
        driver=network.driver if network.driver != "bridge" else "",
        ipam={"config": config} if config else {},
        internal=network.internal,
        attachable=network.attachable,
        enable_ipv6=network.enable_ipv6,
        external=network.external,
        labels=network.labels,
        driver_opts=network.options,
    )


def _volume(volume: VolumeResource) -> Plain:
    return _filled(
        name=volume.full_name,
        driver=volume.driver if volume.driver != "local" else "",
        external=volume.external,
        labels=volume.labels,
        driver_opts=volume.options,
    )


def _config(config: ConfigResource) -> Plain:
    if config.external:
        return {"external": True, "name": config.external}
    return {"content": config.content} if config.content is not None else {"content": "", "x-by-replica": True}


def _secret(secret: SecretResource) -> Plain:
    if secret.external:
        return {"external": True, "name": secret.external}
    if secret.command:
        return {"command": list(secret.command)}
    if secret.generate is not None:
        return {"generate": {"length": secret.generate.length, "charset": secret.generate.charset}}
    return {"content": HIDDEN}


# ---------------------------------------------------------------- services


def _service(service: Service) -> Plain:
    plain = _one(service)
    if service.variants:
        plain["x-replicas"] = [_difference(plain, _one(variant)) for variant in service.variants]
    return plain


def _difference(base: Plain, variant: Plain) -> Plain:
    """What a replica has other than the first."""
    return {key: variant.get(key) for key in {**base, **variant} if variant.get(key) != base.get(key)}


def _one(service: Service) -> Plain:
    plain = _filled(
        image=service.image,
        **_process(service),
        **_surroundings(service),
        depends_on={name: _dependency(entry) for name, entry in service.depends_on.items()},
        healthcheck=_healthcheck(service.healthcheck) if service.healthcheck else None,
        restart=_restart(service),
        **_limits(service),
        pull_policy=service.pull_policy,
        profiles=service.profiles,
        annotations=service.annotations,
        **_shared(service),
        **_lived(service),
    )
    if not service.attach:
        plain["attach"] = False
    if service.replicas != 1:
        plain["scale"] = service.replicas
    return plain


def _process(service: Service) -> Plain:
    """What runs, and as whom. An empty command or entrypoint says something: it clears the image's."""
    return {
        "entrypoint": _command(service.entrypoint),
        "command": _command(service.command),
        "environment": {key: _variable(value) for key, value in service.environment.items()},
        "user": service.user,
        "working_dir": service.working_dir,
        "tty": service.tty,
        "stdin_open": service.stdin_open,
        "init": service.init,
        "stop_signal": service.stop_signal,
        "stop_grace_period": None if service.stop_grace_period is None else duration(service.stop_grace_period),
        "privileged": service.privileged,
        "cap_add": service.cap_add,
        "cap_drop": service.cap_drop,
        "security_opt": service.security_opt,
        "group_add": service.group_add,
        "sysctls": service.sysctls,
        "oom_score_adj": service.oom_score_adj or None,
        "ulimits": {limit.name: {"soft": limit.soft, "hard": limit.hard} for limit in service.ulimits},
    }


def _shared(service: Service) -> Plain:
    """What it shares with the machine and with others."""
    return {
        "pid": service.pid_mode,
        "ipc": service.ipc_mode,
        "uts": service.uts_mode,
        "userns_mode": service.userns_mode,
        "cgroup": service.cgroup_mode,
        "devices": [f"{item.source}:{item.target}:{item.permissions}" for item in service.devices],
        "device_cgroup_rules": service.device_rules,
        "volumes_from": service.volumes_from,
        "platform": service.platform,
    }


def _lived(service: Service) -> Plain:
    """Log, hooks, rollout."""
    log = service.log
    deploy = _filled(
        labels=service.deploy_labels,
        update_config=_rollout(service.update),
        rollback_config=_rollout(service.rollback),
    )
    return {
        "logging": _filled(driver=log.driver if log.driver != LogConfig().driver else "", options=log.options),
        "post_start": [_hook(hook) for hook in service.post_start],
        "pre_stop": [_hook(hook) for hook in service.pre_stop],
        "deploy": deploy,
    }


def _hook(hook: Hook) -> Plain:
    return _filled(
        command=hook.command,
        user=hook.user,
        privileged=hook.privileged,
        working_dir=hook.working_dir,
        environment=hook.environment,
    )


def _rollout(rollout: Rollout) -> Plain:
    standard = Rollout()
    plain = {row.name: getattr(rollout, row.name) for row in fields(Rollout)}
    plain = {key: value for key, value in plain.items() if value != getattr(standard, key)}
    return {key: duration(value) if key in ("delay", "monitor") else value for key, value in plain.items()}


class _Empty(list[str]):
    """An empty list that is kept."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None


def _command(argv: tuple[str, ...] | None) -> list[str] | None:
    return None if argv is None else list(argv) or _Empty()


def _surroundings(service: Service) -> Plain:
    """Names, files, networks."""
    return {
        "container_name": service.container_name,
        "hostname": service.hostname,
        "domainname": service.domainname,
        "labels": service.labels,
        "ports": [_port(port) for port in service.ports],
        "expose": service.expose,
        "volumes": [_mount(mount) for mount in service.mounts if not mount.tmpfs_options],
        "tmpfs": [f"{mount.target}:{mount.tmpfs_options}" for mount in service.mounts if mount.tmpfs_options],
        "configs": [_file(file) for file in service.files if file.kind == "config"],
        "secrets": [_file(file) for file in service.files if file.kind == "secret"],
        "networks": {entry.network: _attachment(entry) for entry in service.networks},
        "network_mode": service.network_mode,
        "extra_hosts": service.extra_hosts,
        "dns": service.dns,
        "dns_search": service.dns_search,
        "dns_opt": service.dns_options,
        "read_only": service.read_only,
        "shm_size": service.shm_size or None,
    }


def _limits(service: Service) -> Plain:
    limits = service.resources
    return {
        "mem_limit": limits.memory or None,
        "mem_reservation": limits.memory_reservation or None,
        "memswap_limit": limits.memory_swap or None,
        "cpus": limits.nano_cpus / 1_000_000_000 if limits.nano_cpus else None,
        "cpu_shares": limits.cpu_shares or None,
        "cpuset": limits.cpuset,
        "pids_limit": limits.pids or None,
        "cpu_period": limits.cpu_period or None,
        "cpu_quota": limits.cpu_quota or None,
        "mem_swappiness": limits.swappiness,
        "oom_kill_disable": limits.oom_kill_disable,
        "blkio_config": _blkio(limits),
    }


def _blkio(limits: Resources) -> Plain:
    plain = _filled(weight=limits.blkio_weight or None)
    for limit in limits.blkio:
        weight = limit.kind == "weight"
        key = "weight_device" if weight else f"device_{limit.kind}"
        plain.setdefault(key, []).append({"path": limit.path, "weight" if weight else "rate": limit.rate})
    return plain


def _variable(value: str | SecretRef | None) -> Any:
    return {"secret": value.secret} if isinstance(value, SecretRef) else value


def _dependency(entry: Any) -> Plain:
    plain = {"condition": entry.condition}
    return plain | _filled(restart=entry.restart) | ({} if entry.required else {"required": False})


def _restart(service: Service) -> str:
    policy = service.restart
    return f"{policy.name}:{policy.max_retries}" if policy.max_retries else policy.name if policy.name != "no" else ""


def _healthcheck(check: Healthcheck) -> Plain:
    if check.test == ("NONE",):
        return {"disable": True}
    standard = Healthcheck(test=())
    timing = ("interval", "timeout", "start_period", "start_interval")
    plain = _filled(test=check.test)
    plain |= {key: duration(getattr(check, key)) for key in timing if getattr(check, key) != getattr(standard, key)}
    return plain | ({"retries": check.retries} if check.retries != standard.retries else {})


def _port(port: Port) -> Plain:
    return _filled(
        target=port.target,
        published="-".join(str(number) for number in (port.published, port.published_last) if number),
        host_ip=port.host_ip,
        protocol=port.protocol if port.protocol != "tcp" else "",
        mode=port.mode if port.mode != "ingress" else "",
    )


def _mount(mount: Mount) -> Plain:
    bind = _filled(propagation=mount.propagation)
    if mount.type == "bind" and not mount.create_host_path:
        bind["create_host_path"] = False
    if not mount.recursive:
        bind["recursive"] = "disabled"
    tmpfs = _filled(size=mount.tmpfs_size or None)
    if mount.type == "tmpfs" and mount.tmpfs_mode != 0o1777:
        tmpfs["mode"] = mount.tmpfs_mode
    return _filled(
        type=mount.type,
        source=mount.source,
        target=mount.target,
        read_only=mount.read_only,
        bind=bind,
        volume=_filled(nocopy=mount.nocopy, subpath=mount.subpath),
        tmpfs=tmpfs,
    )


def _file(file: FileRef) -> Plain:
    plain = _filled(
        source=file.source,
        target=file.target,
        uid=file.uid if file.uid != "0" else "",
        gid=file.gid if file.gid != "0" else "",
        on_change=file.on_change if file.on_change != "restart" else "",
    )
    if file.mode != 0o444:
        plain["mode"] = f"{file.mode:04o}"
    return plain | ({"x-content": file.content} if file.content is not None else {})


def _attachment(entry: Any) -> Plain | None:
    plain = _filled(
        aliases=entry.aliases,
        ipv4_address=entry.ipv4,
        ipv6_address=entry.ipv6,
        mac_address=entry.mac,
        priority=entry.priority or None,
        gw_priority=entry.gateway_priority or None,
        interface_name=entry.interface,
    )
    return plain or None


# ---------------------------------------------------------------- YAML


class _Dumper(yaml.SafeDumper):
    """Block style; text of several lines as `|`; quotes wherever our own reader would see another type."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None if isinstance(scalars.resolve(text), str) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(_Empty, lambda dumper, data: dumper.represent_list([]))
