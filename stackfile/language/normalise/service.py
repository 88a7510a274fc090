"""Services."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from stackfile.errors import StackError
from stackfile.language.nodes import Mapping, Node, Scalar
from stackfile.language.normalise import (
    build,
    environment,
    files,
    health,
    isolation,
    lifecycle,
    limits,
    links,
    mounts,
    ports,
)
from stackfile.language.normalise.basic import (
    boolean,
    command,
    dropped,
    duration,
    hosts,
    if_filled,
    is_empty,
    one_or_texts,
    pairs,
    signal,
    size,
    text,
    texts,
)
from stackfile.language.normalise.basic import name as named
from stackfile.language.normalise.context import Context, Fields, Published
from stackfile.model.stack import Attachment, Dependency, FileRef, LogConfig, Mount, Port, Rollout, Service

_WINDOWS = "of Windows containers"
IGNORED = {
    "cgroup_parent": "the engine has one parent for all containers",
    "cpu_count": _WINDOWS,
    "cpu_percent": _WINDOWS,
    "cpu_rt_period": "the engine gives no real-time share",
    "cpu_rt_runtime": "the engine gives no real-time share",
    "credential_spec": _WINDOWS,
    "develop": "nothing watches the sources here",
    "external_links": "containers of other projects are found by name in a network that both are on",
    "gpus": "the engine gives devices by `devices` alone",
    "isolation": _WINDOWS,
    "models": "the engine runs no models",
    "pull_refresh_after": "an image that is here is not fetched again: pull it",
    "pre_start": "the engine runs nothing before the start: let another service complete first",
    "runtime": "the engine is its own runtime",
    "storage_opt": "the engine does not limit the writable layer",
    "use_api_socket": "mount the socket as a volume",
}
"""Keys that are accepted without effect, and why."""

LOG = LogConfig()
ROLLOUT = Rollout()
_NULLABLE = frozenset({"command", "deploy", "develop", "entrypoint", "pid"})
"""Keys of which null means none, as for Compose."""
EMPTY_IS_NONE = frozenset(
    {"restart", "hostname", "domainname", "platform", "pid", "ipc", "uts", "userns_mode", "cpuset", "mac_address",
     "stop_signal", "network_mode"}
)  # fmt: skip
"""Keys whose empty text (of a variable that is not set) means none, as for Compose."""
PULL_POLICIES = frozenset({"always", "never", "missing", "if_not_present", "build", "refresh"})
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_HOSTNAME = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*")


def parse(name: str, tree: Mapping, context: Context, replicas: int) -> Service:
    """The service as one replica sees it. Mistakes are reported to the context."""
    owner = f"service.{name}"
    tree = tree.without(*(key for key in EMPTY_IS_NONE if is_empty(tree.get(key))))
    fields = Fields(tree, context, f"service {name}", _NULLABLE)
    deploy = limits.Deploy(fields, context, owner)
    image = fields.require("image", named, "") if "build" not in tree.entries else fields.take("image", named, "")
    built = build.of_service(fields, context, name, image)
    mode = fields.take("network_mode", lambda node: links.network_mode(node, context, owner), "")
    fields.take("scale", lambda _: None, None)
    deploy.fields.take("replicas", lambda _: None, None)
    shared = _shared(fields, context, owner)
    lived = _lived(fields, deploy, context)
    labels = _pairs(fields, "labels")
    depends_on: dict[str, Dependency] = fields.take("depends_on", lambda n: links.depends_on(n, context, owner), {})
    service = Service(
        name=name,
        image=built,
        image_is_stack_image=image in context.images or built in context.built,
        entrypoint=_command(fields, "entrypoint", context, owner),
        command=_command(fields, "command", context, owner),
        environment=environment.parse(fields, context, owner),
        user=fields.take("user", text, ""),
        working_dir=fields.take("working_dir", text, ""),
        hostname=fields.take("hostname", _hostname, ""),
        domainname=fields.take("domainname", _hostname, ""),
        container_name=fields.take("container_name", _container_name, ""),
        labels={**_file_labels(fields, context), **labels},
        ports=_ports(fields, context, name),
        expose=fields.take_list("expose", ports.expose),
        mounts=_mounts(fields, context, owner),
        files=_files(fields, context, owner),
        networks=_networks(fields, context, owner, mode),
        network_mode=mode,
        depends_on={**_implied(shared, mode, _links(fields, context, owner)), **depends_on},
        healthcheck=fields.take("healthcheck", lambda node: health.parse(node, context), None),
        restart=limits.restart(fields, deploy, context),
        resources=limits.resources(fields, deploy),
        replicas=replicas,
        stop_signal=fields.take("stop_signal", signal, ""),
        stop_grace_period=fields.take("stop_grace_period", duration, None),
        tty=fields.take("tty", boolean, False),
        stdin_open=fields.take("stdin_open", boolean, False),
        init=fields.take("init", boolean, False),
        read_only=fields.take("read_only", boolean, False),
        privileged=fields.take("privileged", boolean, False),
        cap_add=fields.take("cap_add", texts, ()),
        cap_drop=fields.take("cap_drop", texts, ()),
        security_opt=fields.take("security_opt", texts, ()),
        group_add=fields.take("group_add", texts, ()),
        shm_size=fields.take("shm_size", size, 0),
        ulimits=fields.take("ulimits", lambda node: limits.ulimits(node, context), ()),
        extra_hosts=fields.take("extra_hosts", hosts, ()),
        dns=fields.take("dns", if_filled(one_or_texts, ()), ()),
        dns_search=fields.take("dns_search", one_or_texts, ()),
        dns_options=fields.take("dns_opt", one_or_texts, ()),
        sysctls=fields.take("sysctls", pairs, {}),
        oom_score_adj=fields.take("oom_score_adj", limits.oom_score, 0),
        pull_policy=fields.take("pull_policy", _pull_policy, ""),
        profiles=fields.take("profiles", texts, ()),
        **shared,
        **lived,
    )
    fields.ignore(owner, IGNORED, form="service")
    fields.node("extends")  # resolved before files were merged
    deploy.finish()
    fields.finish()
    return service


def _command(fields: Fields, key: str, context: Context, owner: str) -> tuple[str, ...] | None:
    """A command; what a shell's operator begins in its text is remembered as without effect."""

    def parse_text(node: Node) -> tuple[str, ...]:
        words = command(node)
        if rest := dropped(node):
            context.ignore(owner, key, node.place, f"no shell reads it, so it ends before `{rest}`; write [sh, -c, …]")
        return words

    nothing: tuple[str, ...] | None = None
    return fields.take(key, parse_text, nothing)


def _shared(fields: Fields, context: Context, owner: str) -> dict[str, Any]:
    """What it shares with the machine and with other services."""
    return {
        "pid_mode": fields.take("pid", lambda node: isolation.pid(node, context, owner), ""),
        "ipc_mode": fields.take("ipc", lambda node: isolation.ipc(node, context, owner), ""),
        "uts_mode": fields.take("uts", isolation.host_only, ""),
        "userns_mode": fields.take("userns_mode", isolation.host_only, ""),
        "cgroup_mode": fields.take("cgroup", isolation.cgroup, ""),
        "devices": fields.take_list("devices", lambda node: isolation.device(node, context, owner)),
        "device_rules": fields.take_list("device_cgroup_rules", isolation.device_rule),
        "volumes_from": fields.take_list("volumes_from", lambda node: isolation.volumes_from(node, context, owner)),
        "platform": fields.take("platform", isolation.platform, ""),
    }


def _links(fields: Fields, context: Context, owner: str) -> list[str]:
    """The services it links to; their aliases go to the context."""
    nothing: tuple[tuple[str, str], ...] = ()
    linked = fields.take("links", lambda node: isolation.links(node, context, owner), nothing)
    context.links.update({(owner.partition(".")[2], alias): target for target, alias in linked})
    return [target for target, _ in linked]


def _implied(shared: dict[str, Any], mode: str, linked: list[str]) -> dict[str, Dependency]:
    """Dependencies on whom it shares something with, as Compose has them."""
    if not linked and not mode and not shared["pid_mode"] and not shared["ipc_mode"] and not shared["volumes_from"]:
        return {}
    named = isolation.shared_services(mode, shared["pid_mode"], shared["ipc_mode"])
    volumes = [source.partition(":")[0] for source in shared["volumes_from"] if not source.startswith("container:")]
    return {**dict.fromkeys(volumes, Dependency()), **dict.fromkeys((*named, *linked), isolation.IMPLIED)}


def _lived(fields: Fields, deploy: limits.Deploy, context: Context) -> dict[str, Any]:
    """Its log, hooks, annotations and rollout."""
    return {
        "annotations": _pairs(fields, "annotations"),
        "attach": fields.take("attach", boolean, True),
        "log": fields.take("logging", lambda node: lifecycle.logging(node, context, deploy.address), LOG),
        "post_start": fields.take_list("post_start", lambda node: lifecycle.hook(node, context)),
        "pre_stop": fields.take_list("pre_stop", lambda node: lifecycle.hook(node, context)),
        "update": deploy.fields.take("update_config", lambda node: lifecycle.rollout(node, context), ROLLOUT),
        "rollback": deploy.fields.take("rollback_config", lambda node: lifecycle.rollout(node, context), ROLLOUT),
        "deploy_labels": _pairs(deploy.fields, "labels"),
    }


def _pairs(fields: Fields, key: str) -> dict[str, str]:
    nothing: dict[str, str] = {}
    return fields.take(key, pairs, nothing)


def _file_labels(fields: Fields, context: Context) -> dict[str, str]:
    nothing: dict[str, str] = {}
    return fields.take("label_file", lambda node: environment.label_files(node, context), nothing)


def _networks(fields: Fields, context: Context, owner: str, mode: str) -> tuple[Attachment, ...]:
    """The networks; a `mac_address` of the service is that of its first one."""
    networks = links.networks(fields, context, owner, mode)
    mac = fields.take("mac_address", links.mac, "")
    if not mac or not networks:
        return networks
    main = max(networks, key=lambda entry: entry.priority)
    return tuple(replace(entry, mac=entry.mac or mac) if entry is main else entry for entry in networks)


def _ports(fields: Fields, context: Context, name: str) -> tuple[Port, ...]:
    def parse_item(node: Node) -> list[Port]:
        parsed = ports.parse(node, context)
        context.published.extend(
            Published(name, port, node.place) for port in parsed if port.published and not port.published_last
        )
        return parsed

    found: tuple[Port, ...] = fields.take_list("ports", parse_item)
    return tuple(dict.fromkeys(found))


def _mounts(fields: Fields, context: Context, owner: str) -> tuple[Mount, ...]:
    def parse_item(node: Node) -> Mount | list[Mount]:
        if isinstance(node, Mapping) and mounts.is_foreign(node):
            context.ignore(owner, f"volumes/{mounts.target_of(node)}", node.place, mounts.FOREIGN)
            if check := context.forms.get("volumes", {}).get("long"):
                check(node, context)
            return []
        mount = mounts.parse(node, context)
        if mount.type == "volume" and mount.source:
            context.refer(owner, "volume", mount.source, node.place)
        return mount

    result = fields.take_list("volumes", parse_item)
    node = fields.node("tmpfs")
    if isinstance(node, Scalar):
        return fields.take("tmpfs", lambda child: (*result, mounts.tmpfs(child)), result)
    return (*result, *fields.take_list("tmpfs", mounts.tmpfs))


def _files(fields: Fields, context: Context, owner: str) -> tuple[FileRef, ...]:
    return tuple(
        reference
        for kind in ("config", "secret")
        for reference in fields.take_list(f"{kind}s", lambda node, kind=kind: files.parse(node, kind, context, owner))  # type: ignore[misc]
    )


def _hostname(node: Node) -> str:
    value = text(node)
    if len(value) > 253 or not _HOSTNAME.fullmatch(value):
        raise StackError("bad-name", f"not a host name: {value!r}", at=node.place)
    return value


def _container_name(node: Node) -> str:
    value = text(node)
    if not _CONTAINER_NAME.fullmatch(value):
        raise StackError("bad-name", f"not a container name: {value!r}", at=node.place)
    return value


def _pull_policy(node: Node) -> str:
    value = text(node)
    if value not in PULL_POLICIES and not re.fullmatch(r"daily|weekly|every_(\d+[wdhms])+", value):
        raise StackError("bad-value", f"no pull policy {value!r}", at=node.place, hint="always, missing or never")
    return value
