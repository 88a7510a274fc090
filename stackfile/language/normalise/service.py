"""Services."""

from __future__ import annotations

import re

from stackfile.errors import StackError
from stackfile.language.nodes import Mapping, Node, Scalar
from stackfile.language.normalise import environment, files, health, limits, links, mounts, ports
from stackfile.language.normalise.basic import (
    boolean,
    command,
    duration,
    hosts,
    one_or_texts,
    pairs,
    signal,
    size,
    text,
    texts,
)
from stackfile.language.normalise.basic import name as named
from stackfile.language.normalise.context import Context, Fields, Published
from stackfile.model.stack import FileRef, Mount, Port, Service

UNSUPPORTED = frozenset({
    "annotations", "attach", "blkio_config", "build", "cgroup", "cgroup_parent", "cpu_count", "cpu_percent",
    "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "credential_spec", "develop", "device_cgroup_rules",
    "devices", "extends", "external_links", "gpus", "ipc", "isolation", "label_file", "links", "logging", "mac_address",
    "mem_swappiness", "models", "oom_kill_disable", "pid", "platform", "post_start", "pre_start", "pre_stop",
    "provider", "runtime", "storage_opt", "use_api_socket", "userns_mode", "uts", "volumes_from",
})  # fmt: skip
"""Keys of Compose that the model has no field for yet."""

PULL_POLICIES = frozenset({"always", "never", "missing", "if_not_present", "build"})
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_HOSTNAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*")


def parse(name: str, tree: Mapping, context: Context, replicas: int) -> Service:
    """The service as one replica sees it. Mistakes are reported to the context."""
    owner = f"service.{name}"
    fields = Fields(tree, context, f"service {name}")
    deploy = limits.Deploy(fields, context)
    image = fields.require("image", named, "") if "build" not in tree.entries else fields.take("image", named, "")
    mode = fields.take("network_mode", lambda node: links.network_mode(node, context, owner), "")
    fields.take("scale", lambda _: None, None)
    deploy.fields.take("replicas", lambda _: None, None)
    service = Service(
        name=name,
        image=image,
        image_is_stack_image=image in context.images,
        entrypoint=fields.take("entrypoint", command, None),
        command=fields.take("command", command, None),
        environment=environment.parse(fields, context, owner),
        user=fields.take("user", text, ""),
        working_dir=fields.take("working_dir", text, ""),
        hostname=fields.take("hostname", _hostname, ""),
        domainname=fields.take("domainname", _hostname, ""),
        container_name=fields.take("container_name", _container_name, ""),
        labels=fields.take("labels", pairs, {}),
        ports=_ports(fields, context, name),
        expose=fields.take_list("expose", ports.expose),
        mounts=_mounts(fields, context, owner),
        files=_files(fields, context, owner),
        networks=links.networks(fields, context, owner, mode),
        network_mode=mode,
        depends_on=fields.take("depends_on", lambda node: links.depends_on(node, context, owner), {}),
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
        dns=fields.take("dns", one_or_texts, ()),
        dns_search=fields.take("dns_search", one_or_texts, ()),
        dns_options=fields.take("dns_opt", one_or_texts, ()),
        sysctls=fields.take("sysctls", pairs, {}),
        oom_score_adj=fields.take("oom_score_adj", limits.oom_score, 0),
        pull_policy=fields.take("pull_policy", _pull_policy, ""),
        profiles=fields.take("profiles", texts, ()),
    )
    deploy.finish()
    fields.finish(UNSUPPORTED)
    return service


def _ports(fields: Fields, context: Context, name: str) -> tuple[Port, ...]:
    def parse_item(node: Node) -> list[Port]:
        parsed = ports.parse(node, context)
        context.published.extend(Published(name, port, node.place) for port in parsed if port.published)
        return parsed

    found: tuple[Port, ...] = fields.take_list("ports", parse_item)
    return tuple(dict.fromkeys(found))


def _mounts(fields: Fields, context: Context, owner: str) -> tuple[Mount, ...]:
    def parse_item(node: Node) -> Mount:
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
    if value not in PULL_POLICIES and not re.fullmatch(r"daily|weekly|every_\w+", value):
        raise StackError("bad-value", f"no pull policy {value!r}", at=node.place, hint="always, missing or never")
    return value
