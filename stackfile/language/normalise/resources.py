"""Networks, volumes, configs and secrets."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from stackfile.errors import StackError
from stackfile.language.document import read_bytes
from stackfile.language.nodes import Mapping, Node, Scalar
from stackfile.language.normalise.basic import (
    NO_TEXTS,
    any_text,
    boolean,
    if_filled,
    integer,
    items,
    name,
    pairs,
    text,
    texts,
)
from stackfile.language.normalise.context import Context, Fields, as_mapping
from stackfile.model.stack import (
    ConfigResource,
    Generate,
    NetworkResource,
    SecretRef,
    SecretResource,
    VolumeResource,
)

CHARSETS = frozenset({"alnum", "hex", "base64"})
MAX_LENGTH = 4096
SECRET_MARK = re.compile("\ue000([^\ue001]*)\ue001")
_CONTENT_KEYS = ("content", "file", "environment")
NO_ITEMS: list[Node] = []
"""Default of lists."""


def _full_name(fields: Fields, context: Context, key: str, external: bool) -> str:
    default = key if external else f"{context.project}_{key}"
    return fields.take("name", name, default)


_SWARM = "of clusters: the engine has one machine"


def _external(fields: Fields, context: Context, kind: str) -> tuple[bool, str]:
    """Whether the resource is another's, and the name that `external` gives: `true`, `{name}` or `{stack, KIND}`."""
    node = fields.node("external")
    if not isinstance(node, Mapping):
        return fields.take("external", boolean, False), ""
    given = Fields(node, context, "external")
    if "stack" in node.entries:
        stack, own = given.require("stack", name, ""), given.require(kind, name, "")
        full = f"{stack}_{own}"
    else:
        full = given.require("name", name, "")
    given.finish()
    return True, full


def _other(fields: Fields, context: Context, kind: str, key: str) -> str:
    """Full name of the config or secret of another stack that this one is; "" for one of its own."""
    external, given = _external(fields, context, kind)
    full = fields.take("name", name, given or key)
    if external:
        for other in (*_CONTENT_KEYS, "generate", "command"):
            if other in fields.tree.entries:
                message = f"{fields.what} is external and has `{other}`"
                context.report(StackError("bad-value", message, at=fields.tree.keys[other].place))
                fields.take(other, lambda _: None, None)
    return full if external else ""


def network(key: str, tree: Mapping, context: Context) -> NetworkResource:
    fields = Fields(tree, context, f"network {key}")
    address = f"network.{key}"
    external, given = _external(fields, context, "network")
    ipam = fields.take("ipam", lambda node: _ipam(node, context, address), Ipam())
    result = NetworkResource(
        name=key,
        full_name=given or _full_name(fields, context, key, external),
        driver=fields.take("driver", if_filled(text, "bridge"), "bridge"),
        subnets=ipam.subnets,
        gateways=ipam.gateways,
        ip_ranges=ipam.ranges,
        reserved=ipam.reserved,
        internal=fields.take("internal", boolean, False),
        attachable=fields.take("attachable", boolean, False),
        enable_ipv6=fields.take("enable_ipv6", boolean, False),
        external=external,
        labels=fields.take("labels", pairs, {}),
        options=fields.take("driver_opts", pairs, {}),
    )
    if not fields.take("enable_ipv4", boolean, True):
        why = "networks always have IPv4 addresses"
        context.ignore(address, "enable_ipv4", fields.tree.keys["enable_ipv4"].place, why)
    fields.finish()
    return result


@dataclass(frozen=True, slots=True)
class Ipam:
    """What `ipam` says, by subnet."""

    subnets: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()


def _ipam(node: Node, context: Context, address: str) -> Ipam:
    fields = Fields(as_mapping(node), context, "ipam")
    fields.take("driver", _ipam_driver, "")
    subnets: list[str] = []
    gateways: list[str] = []
    ranges: list[str] = []
    reserved: list[str] = []
    for item in fields.take("config", items, NO_ITEMS):
        entry = Fields(as_mapping(item), context, "ipam.config")
        subnets.append(entry.require("subnet", _subnet, ""))
        gateways.append(entry.take("gateway", _gateway, ""))
        ranges.append(entry.take("ip_range", _subnet, ""))
        reserved += entry.take("aux_addresses", _addresses, NO_TEXTS)
        entry.finish()
    fields.ignore(address, {"options": "addresses are given without options"}, "ipam/", "ipam")
    fields.finish()
    return Ipam(
        tuple(subnets),
        tuple(gateways) if any(gateways) else (),
        tuple(ranges) if any(ranges) else (),
        tuple(reserved),
    )


def _addresses(node: Node) -> tuple[str, ...]:
    """Addresses of `aux_addresses`; their names mean nothing here."""
    return tuple(_gateway(child) for child in as_mapping(node).entries.values())


def _ipam_driver(node: Node) -> str:
    if text(node) != "default":
        raise StackError("bad-value", f"no ipam driver {text(node)!r}", at=node.place, hint="default")
    return "default"


def _subnet(node: Node) -> str:
    try:
        return str(ipaddress.ip_network(text(node)))
    except ValueError as error:
        raise StackError("bad-value", f"not a subnet: {text(node)!r}", at=node.place, cause=str(error)) from error


def _gateway(node: Node) -> str:
    try:
        return str(ipaddress.ip_address(text(node)))
    except ValueError as error:
        raise StackError("bad-value", f"not an address: {text(node)!r}", at=node.place) from error


def volume(key: str, tree: Mapping, context: Context) -> VolumeResource:
    fields = Fields(tree, context, f"volume {key}")
    external, given = _external(fields, context, "volume")
    result = VolumeResource(
        name=key,
        full_name=given or _full_name(fields, context, key, external),
        driver=fields.take("driver", if_filled(text, "local"), "local"),
        external=external,
        labels=fields.take("labels", pairs, {}),
        options=fields.take("driver_opts", pairs, {}),
    )
    fields.finish()
    return result


def config(key: str, tree: Mapping, context: Context) -> ConfigResource:
    """A config with its content; None where a replica-dependent content was taken out before."""
    fields = Fields(tree, context, f"config {key}")
    external = _other(fields, context, "config", key)
    content = None if external else _content(fields, context)
    fields.ignore(
        f"config.{key}", {"labels": _SWARM, "template_driver": "jinja alone is read, in stack files"}, form="config"
    )
    fields.finish()
    return ConfigResource(name=key, content=content, external=external)


def secret(key: str, tree: Mapping, context: Context) -> SecretResource:
    """A secret: content of one kind, `generate`, `command`, or another stack's."""
    fields = Fields(tree, context, f"secret {key}", ("generate",))
    external = _other(fields, context, "secret", key)
    if external:
        result = SecretResource(name=key, external=external)
    elif "command" in tree.entries:
        _exclusive(fields, context, ("command", "generate", *_CONTENT_KEYS))
        result = SecretResource(name=key, command=fields.take("command", _command, NO_TEXTS))
    elif "generate" in tree.entries:
        generate: Generate | None = Generate()
        if fields.node("generate") is not None:
            generate = fields.take("generate", lambda node: _generate(node, context), Generate())
        result = SecretResource(name=key, generate=generate)
        _exclusive(fields, context, ("generate", *_CONTENT_KEYS))
    else:
        content = _content(fields, context)
        result = SecretResource(name=key, content=None if content is None else composed(key, content, fields, context))
    unused = dict.fromkeys(("labels", "driver", "driver_opts", "template_driver"), _SWARM)
    fields.ignore(f"secret.{key}", unused, form="secret")
    fields.finish()
    return result


def _command(node: Node) -> tuple[str, ...]:
    """The command that prints a secret: a list, or text for a shell."""
    argv = ("/bin/sh", "-ec", name(node)) if isinstance(node, Scalar) else texts(node)
    if not argv:
        raise StackError("bad-value", "the command is empty", at=node.place)
    return argv


def _exclusive(fields: Fields, context: Context, keys: tuple[str, ...]) -> list[str]:
    """The keys that are there; more than one is an error."""
    there = [key for key in keys if key in fields.tree.entries]
    for key in there[1:]:
        message = f"{fields.what} has both `{there[0]}` and `{key}`"
        context.report(StackError("bad-value", message, at=fields.tree.keys[key].place))
        fields.take(key, lambda _: None, None)
    return there


def _content(fields: Fields, context: Context) -> str | None:
    """Text of a config or secret. What is missing is reported."""
    there = _exclusive(fields, context, _CONTENT_KEYS)
    if not there:
        message = f"{fields.what} needs `content`, `file` or `environment`"
        context.report(StackError("missing-key", message, at=fields.tree.place))
        return None
    readers = {
        "content": any_text,
        "file": lambda node: _file(node, context),
        "environment": lambda node: _variable(node, context),
    }
    return fields.take(there[0], readers[there[0]], None)


def _file(node: Node, context: Context) -> str:
    path = name(node)
    if not context.contents and not context.reader.exists(context.path(path, node.place)):
        return ""
    data = read_bytes(context.path(path, node.place), path, context.reader, node.place)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise StackError("file-unreadable", f"{path} is not UTF-8 text", at=node.place) from error


def _variable(node: Node, context: Context) -> str:
    variable = name(node)
    value = context.variables_at(node.place).get(variable)
    if value is None:
        if not context.contents:
            return ""
        raise StackError("variable-required", f"variable {variable} is not set", at=node.place)
    return str(value)


def _generate(node: Node, context: Context) -> Generate:
    fields = Fields(as_mapping(node), context, "generate")
    result = Generate(length=fields.take("length", _length, 32), charset=fields.take("charset", _charset, "alnum"))
    fields.finish()
    return result


def _length(node: Node) -> int:
    value = integer(node)
    if not 1 <= value <= MAX_LENGTH:
        raise StackError("bad-value", f"length is from 1 to {MAX_LENGTH}, not {value}", at=node.place)
    return value


def _charset(node: Node) -> str:
    value = text(node)
    if value not in CHARSETS and len(set(value)) < 2:
        hint = "alnum, hex, base64, or the characters themselves"
        raise StackError("bad-value", f"no charset {value!r}", at=node.place, hint=hint)
    return value


def composed(key: str, content: str, fields: Fields, context: Context) -> tuple[str | SecretRef, ...]:
    """The content of a secret as literals and other secrets."""
    parts = SECRET_MARK.split(content)
    node = fields.tree.get("content")
    result: list[str | SecretRef] = []
    for number, part in enumerate(parts):
        if number % 2:
            result.append(SecretRef(part))
            if node is not None:
                context.refer(f"secret.{key}", "secret", part, node.place)
        elif part:
            result.append(part)
    return tuple(result)
