"""What a service shares with the machine and with others: namespaces, devices, volumes of others, platform."""

from __future__ import annotations

import re

from stackfile.errors import StackError
from stackfile.language.nodes import Mapping, Node
from stackfile.language.normalise.basic import items, name, text
from stackfile.language.normalise.context import Context, Fields
from stackfile.language.origins import escape
from stackfile.model.stack import Dependency, DeviceMapping

_PERMISSIONS = re.compile(r"[rwm]{1,3}")
_CDI = re.compile(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+=\S+")
_RULE = re.compile(r"[abc] (\d+|\*):(\d+|\*) [rwm]{1,3}")
_PLATFORM = re.compile(r"[a-z0-9]+(/[a-z0-9_]+(/[a-z0-9.]+)?)?")
IMPLIED = Dependency(restart=True)
"""What sharing a namespace, or a link, says of the order (as Compose has it)."""


def pid(node: Node, context: Context, owner: str) -> str:
    """`pid`: host, service:NAME, container:NAME."""
    return _shared(node, context, owner, ("host",))


def ipc(node: Node, context: Context, owner: str) -> str:
    """`ipc`: as `pid`, and private, shareable, none."""
    return _shared(node, context, owner, ("host", "private", "shareable", "none"))


def _shared(node: Node, context: Context, owner: str, words: tuple[str, ...]) -> str:
    value = name(node)
    kind, _, target = value.partition(":")
    if kind == "service" and target:
        context.refer(owner, "service", target, node.place)
    elif value not in words and not (kind == "container" and target):
        hint = f"{', '.join(words)}, service:NAME or container:NAME"
        raise StackError("bad-value", f"not a namespace: {value!r}", at=node.place, hint=hint)
    return value


def host_only(node: Node) -> str:
    """`uts`, `userns_mode`: host."""
    if name(node) != "host":
        raise StackError("bad-value", f"{name(node)!r} is not possible here", at=node.place, hint="host")
    return "host"


def cgroup(node: Node) -> str:
    """`cgroup`: host or private."""
    if name(node) not in ("host", "private"):
        raise StackError("bad-value", f"no cgroup namespace {name(node)!r}", at=node.place, hint="host or private")
    return name(node)


def device(node: Node, context: Context, owner: str) -> DeviceMapping | list[DeviceMapping]:
    """`source[:target[:permissions]]`, or a mapping; nothing for a name of the Container Device Interface."""
    if isinstance(node, Mapping):
        fields = Fields(node, context, "a device")
        source = fields.require("source", name, "")
        target = fields.take("target", name, source)
        permissions = fields.take("permissions", name, "rwm")
        fields.finish()
    else:
        source, _, rest = name(node).partition(":")
        target, _, permissions = rest.partition(":")
        if _PERMISSIONS.fullmatch(target) and not permissions:
            target, permissions = "", target
    if _CDI.fullmatch(source):
        context.ignore(owner, f"devices/{escape(source)}", node.place, "the engine gives device files alone")
        return []
    for path in filter(None, (source, target)):
        if not path.startswith("/"):
            raise StackError("bad-value", f"a device is an absolute path, not {path!r}", at=node.place)
    if permissions and not _PERMISSIONS.fullmatch(permissions):
        raise StackError("bad-value", f"permissions are letters of rwm, not {permissions!r}", at=node.place)
    return DeviceMapping(source=source, target=target or source, permissions=permissions or "rwm")


def device_rule(node: Node) -> str:
    """An item of `device_cgroup_rules`."""
    value = " ".join(text(node).split())
    if not _RULE.fullmatch(value):
        hint = "such as `c 1:3 rwm` or `b 8:* r`"
        raise StackError("bad-value", f"not a device rule: {value!r}", at=node.place, hint=hint)
    return value


def volumes_from(node: Node, context: Context, owner: str) -> str:
    """An item of `volumes_from`: `SERVICE[:ro|rw]` or `container:NAME[:ro|rw]`."""
    value = name(node)
    external = value.startswith("container:")
    source, _, mode = value.removeprefix("container:").partition(":")
    if mode not in ("", "ro", "rw") or not source:
        raise StackError("bad-value", f"not volumes of another: {value!r}", at=node.place, hint="SERVICE[:ro]")
    if not external:
        context.refer(owner, "service", source, node.place)
    return f"{'container:' if external else ''}{source}{':ro' if mode == 'ro' else ''}"


def link(node: Node, context: Context, owner: str) -> tuple[str, str]:
    """An item of `links`: `SERVICE[:ALIAS]` → (service, alias)."""
    service, _, alias = name(node).partition(":")
    context.refer(owner, "service", service, node.place)
    return service, alias or service


def links(node: Node, context: Context, owner: str) -> tuple[tuple[str, str], ...]:
    return tuple(dict.fromkeys(link(item, context, owner) for item in items(node)))


def platform(node: Node) -> str:
    """`os[/architecture[/variant]]`, or an architecture."""
    value = name(node).lower()
    if not _PLATFORM.fullmatch(value):
        raise StackError("bad-value", f"not a platform: {value!r}", at=node.place, hint="such as linux/amd64")
    return value


def shared_services(*modes: str) -> list[str]:
    """Services whose namespaces the modes name."""
    return [mode.removeprefix("service:") for mode in modes if mode.startswith("service:")]
