"""What a container is given: the keys that services, jobs and `pre_start` steps have in common."""

from __future__ import annotations

import re
from typing import Any

from stackfile.errors import StackError
from stackfile.language.canonical import shapes
from stackfile.language.canonical.mounts import volumes
from stackfile.language.canonical.shapes import Table, list_of, map_of, record
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence
from stackfile.language.normalise import basic
from stackfile.language.normalise.context import Context, not_a

PULL_POLICY = re.compile(r"^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+)$")
NAME = re.compile(r"[a-zA-Z0-9._-]+")
_INT64 = 1 << 63


def command(node: Node, context: Context) -> list[str] | None:
    """A command: null, text that is split as a shell splits it, or a list."""
    if shapes.is_null(node):
        return None
    if isinstance(node, Sequence):
        return shapes.texts(node, context)  # type: ignore[no-any-return]
    shapes.text(node, context)
    return list(basic.command(node))


def hosts(node: Node, context: Context) -> list[str]:
    """`extra_hosts` as sorted `name=address`."""
    if isinstance(node, Mapping):
        for child in node.entries.values():
            shapes.texts(child, context) if isinstance(child, Sequence) else shapes.text(child, context)
            if not isinstance(child, Sequence | Scalar):
                return not_a(child, "an address")
        return sorted(basic.hosts(node))
    shapes.distinct_texts(node, context)
    return sorted(basic.hosts(node))


def env_files(node: Node, context: Context) -> list[dict[str, Any]]:
    """`env_file`: what it says is in `environment`; here only its form counts."""
    if isinstance(node, Mapping):
        return not_a(node, "text or a list")
    items = node.items if isinstance(node, Sequence) else [node]
    return [_env_file(item, context) for item in items]


def _env_file(node: Node, context: Context) -> dict[str, Any]:
    if isinstance(node, Mapping):
        plain: dict[str, Any] = _ENV_FILE(node, context)
    else:
        plain = {"path": shapes.text(node, context)}
    plain["path"] = context.shown_path(plain["path"], node.place) if plain.get("path") else ""
    return plain if plain.get("required", True) is False else {key: plain[key] for key in plain if key != "required"}


_ENV_FILE = record(
    "env_file",
    {"path": shapes.text, "format": shapes.text, "required": shapes.boolean},
    required=("path",), extensions=False, keep=("required",),
)  # fmt: skip


def label_files(node: Node, context: Context) -> list[str]:
    items = node.items if isinstance(node, Sequence) else [node]
    return [context.shown_path(shapes.text(item, context), item.place) for item in items]


def expose(node: Node, context: Context) -> list[str]:
    return shapes.unique_of(shapes.text_or_integer)(node, context)  # type: ignore[no-any-return]


def file_references(kind: str, build: bool = False) -> shapes.Shape:
    """`configs`, `secrets`: names, or mappings."""

    def reference(node: Node, context: Context) -> dict[str, Any]:
        if isinstance(node, Mapping):
            plain: dict[str, Any] = _FILE(node, context)
            if kind == "secret" and not build and plain.get("source") and not plain.get("target"):
                plain["target"] = f"/run/secrets/{plain['source']}"
            return plain
        source = shapes.text(node, context)
        return {"source": source} | ({"target": f"/run/secrets/{source}"} if kind == "secret" and not build else {})

    def check(node: Node, context: Context) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = list_of(reference)(node, context)
        if build:
            return items
        by_target: dict[str, dict[str, Any]] = {}
        for item in items:
            by_target[item.get("target") or f"/{item.get('source')}"] = item
        return list(by_target.values())

    return check


def _octal(mode: int) -> str:
    """A mode as Go writes it."""
    return f"0{mode:o}"


_OCTAL = re.compile(r"[-+]?[0-7]{1,20}")


def _mode(node: Node, context: Context) -> str:
    if isinstance(node, Scalar) and isinstance(node.value, float):
        return not_a(node, "a mode")
    if isinstance(node, Scalar) and isinstance(node.value, str):
        return _octal(int(node.value, 8)) if _OCTAL.fullmatch(node.value) else not_a(node, "a mode")
    value = shapes.integer(node, context)
    return _octal(value)


_FILE = record(
    "a reference",
    {"source": shapes.text, "target": shapes.text, "uid": shapes.text, "gid": shapes.text, "mode": _mode},
)


def devices(node: Node, context: Context) -> list[dict[str, str]]:
    """`devices`: of each target the last."""
    found: list[dict[str, str]] = list_of(_device)(node, context)
    return list({item["target"]: item for item in found}.values())


def _device(node: Node, context: Context) -> dict[str, str]:
    if isinstance(node, Mapping):
        plain: dict[str, str] = _DEVICE(node, context)
        if not plain.get("target"):
            raise StackError("missing-key", "a device needs `target`", at=node.place)
        return plain
    parts = shapes.text(node, context).split(":")
    if len(parts) > 3:
        raise StackError("bad-value", f"not a device: {':'.join(parts)!r}", at=node.place)
    source, target, permissions = parts[0], "", "rwm"
    if len(parts) == 3:
        target, permissions = parts[1], parts[2]
    elif len(parts) == 2:
        if set(parts[1]) <= set("rwm") and parts[1]:
            permissions = parts[1]
        else:
            target = parts[1]
    return {"source": source, "target": target or source, "permissions": permissions}


_DEVICE = record(
    "a device",
    {"source": shapes.text, "target": shapes.text, "permissions": shapes.text},
    required=("source",),
)


def device_requests(node: Node, context: Context) -> list[dict[str, Any]]:
    """`gpus`, and the devices of `deploy`: without a count or ids it is all of them."""
    if isinstance(node, Scalar):
        return [{"count": -1}] if shapes.one_of("all")(node, context) else []
    return list_of(lambda item, c: _request(item, c, (), others=True))(node, context)  # type: ignore[no-any-return]


def reserved_devices(node: Node, context: Context) -> list[dict[str, Any]]:
    return list_of(lambda item, c: _request(item, c, ("capabilities",)))(node, context)  # type: ignore[no-any-return]


def _request(node: Node, context: Context, required: tuple[str, ...], others: bool = False) -> dict[str, Any]:
    shape = record("a device", _REQUEST, required=required, others=others)
    plain: dict[str, Any] = shape(node, context)
    if plain.get("count") and plain.get("device_ids"):
        raise StackError("bad-value", "`count` and `device_ids` say two things", at=node.place)
    assert isinstance(node, Mapping)
    if "count" not in node.entries and not plain.get("device_ids"):
        plain["count"] = -1
    return plain


def _count(node: Node, context: Context) -> int:
    if isinstance(node, Scalar) and node.value == "all":
        return -1
    return shapes.integer(node, context)


_REQUEST: Table = {
    "capabilities": shapes.distinct_texts,
    "count": _count,
    "device_ids": shapes.distinct_texts,
    "driver": shapes.text,
    "options": shapes.distinct(shapes.labels),
}


def _limit(key: str, shape: shapes.Shape) -> shapes.Shape:
    nothing = {"path": "", key: 0 if key == "weight" else "0"}
    plain = record("a block device", {"path": shapes.text, key: shape}, extensions=False)
    return list_of(lambda node, c: {part.capitalize(): value for part, value in (nothing | plain(node, c)).items()})


_RATE = _limit("rate", shapes.size)
_BLKIO = record(
    "blkio_config",
    {
        "weight": shapes.between(shapes.integer, 0, 0xFFFF),
        "weight_device": _limit("weight", shapes.between(shapes.strict_integer, 0, 0xFFFF)),
        "device_read_bps": _RATE,
        "device_read_iops": _RATE,
        "device_write_bps": _RATE,
        "device_write_iops": _RATE,
    },
    extensions=False,
)


def ulimits(node: Node, context: Context) -> dict[str, Any]:
    return map_of(_ulimit)(node, context)  # type: ignore[no-any-return]


def _ulimit(node: Node, context: Context) -> Any:
    if isinstance(node, Mapping):
        return _SOFT_HARD(node, context)
    if isinstance(node, Scalar) and isinstance(node.value, float):
        return not_a(node, "a whole number")
    return shapes.integer(node, context) or {}


_SOFT_HARD = record("a ulimit", {"soft": shapes.integer, "hard": shapes.integer}, required=("soft", "hard"))


def networks(node: Node, context: Context) -> dict[str, Any]:
    """`networks`: a list of names, or mappings; nothing is none."""
    if isinstance(node, Sequence):
        return dict.fromkeys(shapes.distinct_texts(node, context))
    return map_of(lambda child, c: None if shapes.is_null(child) else _ATTACHMENT(child, c), NAME)(node, context)  # type: ignore[no-any-return]


ATTACHMENT: Table = {
    "aliases": shapes.unique_texts,
    "driver_opts": map_of(shapes.option),
    "gw_priority": shapes.plain_number,
    "interface_name": shapes.text,
    "ipv4_address": shapes.text,
    "ipv6_address": shapes.text,
    "link_local_ips": shapes.unique_texts,
    "mac_address": shapes.text,
    "priority": shapes.plain_number,
}
_ATTACHMENT = record("a network", ATTACHMENT)


def models(node: Node, context: Context) -> dict[str, Any]:
    if isinstance(node, Sequence):
        return dict.fromkeys(shapes.distinct_texts(node, context))
    return map_of(lambda child, c: None if shapes.is_null(child) else _MODEL(child, c))(node, context)  # type: ignore[no-any-return]


_MODEL = record("a model", {"endpoint_var": shapes.text, "model_var": shapes.text})


def _pid(node: Node, context: Context) -> str:
    return "" if shapes.is_null(node) else shapes.text(node, context)


CONTAINER: Table = {
    "annotations": shapes.labels,
    "blkio_config": _BLKIO,
    "cap_add": shapes.unique_texts,
    "cap_drop": shapes.unique_texts,
    "cgroup": shapes.one_of("host", "private"),
    "cgroup_parent": shapes.text,
    "command": command,
    "configs": file_references("config"),
    "cpu_count": shapes.between(shapes.integer, 0, _INT64),
    "cpu_percent": shapes.between(shapes.integer, 0, 100),
    "cpu_period": shapes.number,
    "cpu_quota": shapes.number,
    "cpu_rt_period": shapes.number,
    "cpu_rt_runtime": shapes.number,
    "cpu_shares": shapes.number,
    "cpus": shapes.fraction,
    "cpuset": shapes.text,
    "credential_spec": record("credential_spec", dict.fromkeys(("config", "file", "registry"), shapes.text)),
    "device_cgroup_rules": shapes.distinct_texts,
    "devices": devices,
    "dns": shapes.one_or(shapes.unique_texts, empty=False),
    "dns_opt": shapes.unique_texts,
    "dns_search": shapes.one_or_unique,
    "domainname": shapes.text,
    "entrypoint": command,
    "env_file": env_files,
    "environment": shapes.environment,
    "extra_hosts": hosts,
    "gpus": device_requests,
    "group_add": list_of(shapes.text_or_integer, distinct=True),
    "hostname": shapes.text,
    "image": shapes.text,
    "init": shapes.boolean,
    "ipc": shapes.text,
    "isolation": shapes.text,
    "label_file": label_files,
    "labels": shapes.labels,
    "logging": record("logging", {"driver": shapes.text, "options": map_of(shapes.option_or_null)}),
    "mac_address": shapes.text,
    "mem_limit": shapes.size,
    "mem_reservation": shapes.size,
    "mem_swappiness": shapes.size,
    "memswap_limit": shapes.size,
    "models": models,
    "network_mode": shapes.text,
    "networks": networks,
    "oom_kill_disable": shapes.boolean,
    "oom_score_adj": shapes.between(shapes.integer, -1000, 1000),
    "pid": _pid,
    "pids_limit": shapes.number,
    "platform": shapes.text,
    "privileged": shapes.boolean,
    "pull_policy": shapes.matching(PULL_POLICY, "a pull policy"),
    "pull_refresh_after": shapes.text,
    "read_only": shapes.boolean,
    "runtime": shapes.text,
    "secrets": file_references("secret"),
    "security_opt": shapes.distinct_texts,
    "shm_size": shapes.size,
    "stop_grace_period": shapes.duration,
    "stop_signal": shapes.text,
    "storage_opt": map_of(shapes.option_or_null),
    "sysctls": shapes.labels,
    "tmpfs": shapes.one_or_unique,
    "ulimits": ulimits,
    "use_api_socket": shapes.strict_boolean,
    "user": shapes.text,
    "userns_mode": shapes.text,
    "uts": shapes.text,
    "volumes": volumes,
    "volumes_from": shapes.distinct_texts,
    "working_dir": shapes.text,
}
"""The keys of Compose's `container_spec`."""

KEPT = frozenset({"blkio_config", "command", "credential_spec", "entrypoint", "init", "logging"})
"""Those that are written though they are empty."""
