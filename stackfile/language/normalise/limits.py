"""Limits, replicas and restart policy: the service's own keys and those of `deploy`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from stackfile.errors import StackError
from stackfile.language import scalars
from stackfile.language.nodes import Mapping, Node, Scalar
from stackfile.language.normalise.basic import (
    any_text,
    boolean,
    cpus,
    duration,
    if_filled,
    integer,
    natural,
    size,
    text,
)
from stackfile.language.normalise.context import Context, Fields, as_mapping, not_a
from stackfile.model.stack import BlkioLimit, Resources, RestartPolicy, Ulimit

RESTARTS = frozenset({"no", "always", "unless-stopped", "on-failure"})
_ONE_MACHINE = "there is one machine"
IGNORED = {
    "placement": _ONE_MACHINE,
    "endpoint_mode": "names lead to the replicas themselves",
}
_NOT_RESERVED = {
    "cpus": "CPU time cannot be reserved: `cpu_shares` weighs it",
    "devices": "devices are given by `devices`",
    "generic_resources": _ONE_MACHINE,
}
_BLKIO = {
    "device_read_bps": "read_bps",
    "device_write_bps": "write_bps",
    "device_read_iops": "read_iops",
    "device_write_iops": "write_iops",
}
_BACK_OFF = dict.fromkeys(("delay", "window"), "the engine waits from 100 ms, doubling, to 1 min")
_CONDITIONS = {"none": "no", "on-failure": "on-failure", "any": "always"}


class Deploy:
    """The `deploy` of a service, opened."""

    def __init__(self, service: Fields, context: Context, address: str) -> None:
        self.address = address
        empty = Mapping({}, {}, service.tree.place)
        self.fields = Fields(service.take("deploy", as_mapping, empty), context, "deploy")
        resources = Fields(self.fields.take("resources", as_mapping, empty), context, "deploy.resources")
        self.limits = Fields(resources.take("limits", as_mapping, empty), context, "deploy.resources.limits")
        self.reservations = Fields(
            resources.take("reservations", as_mapping, empty), context, "deploy.resources.reservations"
        )
        resources.finish()
        self.fields.take("mode", if_filled(_mode, "replicated"), "replicated")

    def finish(self) -> None:
        self.limits.finish()
        self.reservations.ignore(self.address, _NOT_RESERVED, "deploy/resources/reservations/", "reservations")
        self.reservations.finish()
        self.fields.ignore(self.address, IGNORED, "deploy/", "deploy")
        self.fields.finish()


def _mode(node: Node) -> str:
    """`global` is one replica on each machine: there is one."""
    if text(node) not in ("replicated", "global"):
        raise StackError("bad-value", f"mode {text(node)!r} needs a cluster", at=node.place, hint="replicated")
    return text(node)


def resources(service: Fields, deploy: Deploy) -> Resources:
    """The limits of a service. Two places that give the same limit must agree, as in Compose."""
    no_limits: tuple[int, tuple[BlkioLimit, ...]] = (0, ())
    weight, blkio = service.take("blkio_config", lambda node: _blkio(node, service.context), no_limits)
    return Resources(
        memory=_either(service, "mem_limit", deploy.limits, "memory", _memory),
        memory_reservation=_either(service, "mem_reservation", deploy.reservations, "memory", size),
        memory_swap=service.take("memswap_limit", _swap, 0),
        nano_cpus=_either(service, "cpus", deploy.limits, "cpus", cpus),
        cpu_shares=service.take("cpu_shares", natural, 0),
        cpuset=service.take("cpuset", _cpuset, ""),
        pids=_either(service, "pids_limit", deploy.limits, "pids", integer),
        cpu_period=service.take("cpu_period", _microseconds, 0),
        cpu_quota=service.take("cpu_quota", _microseconds, 0),
        swappiness=service.take("mem_swappiness", _percent, None),
        oom_kill_disable=service.take("oom_kill_disable", boolean, False),
        blkio_weight=weight,
        blkio=blkio,
    )


def _blkio(node: Node, context: Context) -> tuple[int, tuple[BlkioLimit, ...]]:
    """(weight, limits by device) of `blkio_config`."""
    reader = Fields(as_mapping(node), context, "blkio_config")
    weight = reader.take("weight", _weight, 0)
    found = list(reader.take_list("weight_device", lambda item: _device_limit(item, "weight", "weight", context)))
    for key, kind in _BLKIO.items():
        found += reader.take_list(key, lambda item, kind=kind: _device_limit(item, kind, "rate", context))  # type: ignore[misc]
    reader.finish()
    return weight, tuple(found)


def _device_limit(node: Node, kind: str, key: str, context: Context) -> BlkioLimit:
    reader = Fields(as_mapping(node), context, f"blkio {kind}")
    parse = _weight if key == "weight" else size if kind.endswith("bps") else natural
    limit = BlkioLimit(kind=kind, path=reader.require("path", text, ""), rate=reader.require(key, parse, 0))
    reader.finish()
    return limit


def _weight(node: Node) -> int:
    value = natural(node)
    if value and not 10 <= value <= 1000:
        raise StackError("bad-value", f"a weight is from 10 to 1000, not {value}", at=node.place)
    return value


def _percent(node: Node) -> int | None:
    value = integer(node)
    if not -1 <= value <= 100:
        raise StackError("bad-value", f"mem_swappiness is from 0 to 100, not {value}", at=node.place)
    return None if value < 0 else value


def _microseconds(node: Node) -> int:
    """Microseconds as a number, or a duration."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and not node.value.strip().lstrip("-").isdecimal():
        return duration(node) // 1000
    return integer(node)


def _either(service: Fields, key: str, limits: Fields, other: str, parse: Callable[[Node], int]) -> int:
    own, deployed = service.take(key, parse, 0), limits.take(other, parse, 0)
    if own and deployed and own != deployed:
        node = service.tree.entries[key]
        message = f"{key} and {limits.what}.{other} differ"
        error = StackError("bad-value", message, at=node.place, stack=[limits.tree.entries[other].place])
        service.context.report(error)
    return own or deployed


def _memory(node: Node) -> int:
    """Bytes; -1 is without limit too."""
    return max(_swap(node), 0)


def _swap(node: Node) -> int:
    """Bytes; -1 is without limit."""
    if isinstance(node, Scalar) and str(node.value).strip() == "-1":
        return -1
    return size(node)


def _cpuset(node: Node) -> str:
    value = any_text(node)
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value):
        raise StackError("bad-value", f"not a set of CPUs: {value!r}", at=node.place, hint="such as 0-3 or 0,2")
    return value


def replicas(tree: Mapping, context: Context) -> int:
    """Number of replicas by `scale` or `deploy.replicas`. Raises StackError (replicas-conflict)."""
    service = Fields(tree, context, "a service", ("deploy",))
    deploy = service.node("deploy")
    deployed = deploy.get("replicas") if isinstance(deploy, Mapping) else None
    scale = service.node("scale")
    counts = [natural(node) for node in (scale, deployed) if node is not None and not _is_null(node)]
    if len(set(counts)) > 1:
        assert scale is not None
        message = f"scale is {counts[0]}, deploy.replicas is {counts[1]}"
        raise StackError("replicas-conflict", message, at=scale.place, stack=[deployed.place] if deployed else [])
    return counts[0] if counts else 1


def _is_null(node: Node) -> bool:
    return type(node) is Scalar and node.value is None


def restart(service: Fields, deploy: Deploy, context: Context) -> RestartPolicy:
    """`restart` of the service, else `deploy.restart_policy`."""
    deployed = deploy.fields.take(
        "restart_policy", lambda node: _deploy_restart(node, context, deploy.address), RestartPolicy()
    )
    return service.take("restart", _restart, deployed)


def _restart(node: Node) -> RestartPolicy:
    if isinstance(node, Scalar) and node.value is False:
        return RestartPolicy()
    value = text(node)
    name, separator, retries = value.partition(":")
    count = scalars.whole(retries or "0")
    if name not in RESTARTS or (separator and (name != "on-failure" or not retries)) or count is None or count < 0:
        hint = "no, always, unless-stopped, on-failure or on-failure:N"
        raise StackError("bad-value", f"no restart policy {value!r}", at=node.place, hint=hint)
    return RestartPolicy(name=name, max_retries=count)


def _deploy_restart(node: Node, context: Context, address: str) -> RestartPolicy:
    reader = Fields(as_mapping(node), context, "deploy.restart_policy")
    condition = reader.take("condition", if_filled(text, "any"), "any")
    attempts = reader.take("max_attempts", natural, 0)
    reader.ignore(address, _BACK_OFF, "deploy/restart_policy/", "restart_policy")
    reader.finish()
    if condition not in _CONDITIONS:
        raise StackError("bad-value", f"no condition {condition!r}", at=node.place, hint="none, on-failure or any")
    name = _CONDITIONS[condition]
    if attempts and name == "always":
        name = "on-failure"
    return RestartPolicy(name=name, max_retries=attempts)


def ulimits(node: Node, context: Context) -> tuple[Ulimit, ...]:
    """`name: number` or `name: {soft, hard}`; -1 is without limit."""
    tree = as_mapping(node)
    reader = Fields(tree, context, "ulimits")
    parsed = [reader.guard(partial(_ulimit, key, child, context), child, None) for key, child in tree.entries.items()]
    return tuple(limit for limit in parsed if limit is not None)


def _ulimit(name: str, node: Node, context: Context) -> Ulimit:
    if not isinstance(node, Mapping):
        number = integer(node)
        return Ulimit(name=name, soft=number, hard=number)
    reader = Fields(node, context, f"ulimit {name}")
    limit = Ulimit(name=name, soft=reader.require("soft", integer, 0), hard=reader.require("hard", integer, 0))
    reader.finish()
    return limit


def oom_score(node: Node) -> int:
    value = integer(node)
    if not -1000 <= value <= 1000:
        not_a(node, "a number from -1000 to 1000")
    return value
