"""What a service is tied to: networks and the services it depends on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping as MappingType
from dataclasses import replace

from stackfile.errors import StackError
from stackfile.language.merge import names_to_mapping
from stackfile.language.nodes import Mapping, Node, Scalar, Sequence
from stackfile.language.normalise.basic import boolean, integer, name, text, texts
from stackfile.language.normalise.context import Context, Fields, as_mapping
from stackfile.model.stack import Attachment, Dependency, Service

CONDITIONS = frozenset({"service_started", "service_healthy", "service_completed_successfully"})
DEFAULT_NETWORK = "default"
_DEFAULT_MODES = ("bridge", "default")
"""Docker's own default network: here that of the stack."""
_OTHERS = re.compile(r"[a-z0-9][a-z0-9_-]*/[a-zA-Z0-9._-]+")
_IGNORED = {
    "link_local_ips": "interfaces have the addresses of their network alone",
    "driver_opts": "a bridge's endpoint has no options",
}


def networks(service: Fields, context: Context, owner: str, mode: str) -> tuple[Attachment, ...]:
    """The networks of a service: `default` where it names none, none at all with a `network_mode`."""
    node = service.node("networks")
    if node is None or _is_empty(node):
        return () if mode else (Attachment(network=DEFAULT_NETWORK),)
    if mode:
        context.report(StackError("bad-value", "`networks` and `network_mode` exclude each other", at=node.place))
        return ()
    nothing: tuple[Attachment, ...] = ()
    return service.guard(lambda: _networks(node, context, owner), node, nothing)


def _is_empty(node: Node) -> bool:
    """Whether no network is named; as Compose has it, that is the default one."""
    return (isinstance(node, Mapping) and not node.entries) or (isinstance(node, Sequence) and not node.items)


def _networks(node: Node, context: Context, owner: str) -> tuple[Attachment, ...]:
    tree = as_mapping(names_to_mapping(node, "networks"))
    result: list[Attachment] = []
    for key, child in tree.entries.items():
        context.refer(owner, "network", key, tree.keys[key].place)
        if isinstance(child, Scalar) and child.value is None:
            result.append(Attachment(network=key))
            continue
        reader = Fields(as_mapping(child), context, f"network {key}")
        result.append(
            Attachment(
                network=key,
                aliases=reader.take("aliases", texts, ()),
                ipv4=reader.take("ipv4_address", _address, ""),
                ipv6=reader.take("ipv6_address", _address, ""),
                mac=reader.take("mac_address", mac, ""),
                priority=reader.take("priority", integer, 0),
                gateway_priority=reader.take("gw_priority", integer, 0),
                interface=reader.take("interface_name", _interface, ""),
            )
        )
        reader.ignore(owner, _IGNORED, f"networks/{key}/", "attachment")
        reader.finish()
    return tuple(result)


def _interface(node: Node) -> str:
    value = text(node)
    if not re.fullmatch(r"[^\s/:]{1,15}", value) or value in (".", "..", "lo"):
        hint = "at most 15 bytes without blanks, colons and slashes"
        raise StackError("bad-value", f"not a name of an interface: {value!r}", at=node.place, hint=hint)
    return value


def _address(node: Node) -> str:
    try:
        return str(ipaddress.ip_address(text(node)))
    except ValueError as error:
        raise StackError("bad-value", f"not an address: {text(node)!r}", at=node.place) from error


def mac(node: Node) -> str:
    value = text(node)
    if not re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", value):
        raise StackError("bad-value", f"not a MAC address: {value!r}", at=node.place)
    return value.lower()


def network_mode(node: Node, context: Context, owner: str) -> str:
    """none, host, service:NAME or container:NAME; `bridge` means the default network."""
    value = name(node)
    kind, _, target = value.partition(":")
    if kind == "service" and target:
        context.refer(owner, "service", target, node.place)
    elif not (value in ("none", "host", *_DEFAULT_MODES) or (kind == "container" and target)):
        hint = "none, host, service:NAME or container:NAME"
        raise StackError("bad-value", f"no network mode {value!r}", at=node.place, hint=hint)
    return "" if value in _DEFAULT_MODES else value


def depends_on(node: Node, context: Context, owner: str) -> dict[str, Dependency]:
    """The services that must be there first; a group stands for its members, STACK/SERVICE is another stack's."""
    tree = as_mapping(names_to_mapping(node, "depends_on"))
    result: dict[str, Dependency] = {}
    for key, child in tree.entries.items():
        place = tree.keys[key].place
        dependency = _dependency(child, context, key)
        if "/" in key:
            if not _OTHERS.fullmatch(key):
                hint = "a service of another stack is STACK/SERVICE"
                context.report(StackError("bad-name", f"not a service: {key!r}", at=place, hint=hint))
            result[key] = dependency
            continue
        for member in context.groups.get(key, (key,)):
            result[member] = dependency
            context.refer(owner, "service" if dependency.required else "optional-service", member, place)
    return result


def _dependency(node: Node, context: Context, key: str) -> Dependency:
    if isinstance(node, Scalar) and node.value is None:
        return Dependency()
    reader = Fields(as_mapping(node), context, f"depends_on {key}")
    dependency = Dependency(
        condition=reader.take("condition", _condition, "service_started"),
        restart=reader.take("restart", boolean, False),
        required=reader.take("required", boolean, True),
    )
    reader.finish()
    return dependency


def _condition(node: Node) -> str:
    value = text(node)
    if value not in CONDITIONS:
        raise StackError("bad-value", f"no condition {value!r}", at=node.place, hint=", ".join(sorted(CONDITIONS)))
    return value


def alias(services: MappingType[str, Service], context: Context) -> dict[str, Service]:
    """Give the targets of `links` their aliases in the networks that both are on."""
    wanted: dict[str, dict[str, dict[str, None]]] = {}
    for (source, name_), target in context.links.items():
        if name_ == target or source not in services or target not in services:
            continue
        shared = {entry.network for entry in services[source].networks}
        for entry in services[target].networks:
            if entry.network in shared:
                wanted.setdefault(target, {}).setdefault(entry.network, {})[name_] = None
    return {key: _aliased(service, wanted[key]) if key in wanted else service for key, service in services.items()}


def _aliased(service: Service, names: MappingType[str, MappingType[str, None]]) -> Service:
    networks = tuple(
        replace(entry, aliases=tuple(dict.fromkeys((*entry.aliases, *names.get(entry.network, ())))))
        for entry in service.networks
    )
    variants = tuple(_aliased(variant, names) for variant in service.variants)
    return replace(service, networks=networks, variants=variants)
