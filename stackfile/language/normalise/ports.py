"""Published ports, short and long."""

from __future__ import annotations

import ipaddress
import re

from stackfile.errors import StackError
from stackfile.language.nodes import Mapping, Node
from stackfile.language.normalise.basic import any_text, text
from stackfile.language.normalise.context import Context, Fields
from stackfile.model.stack import Port

PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
MODES = frozenset({"ingress", "host"})
MAX_RANGE = 10_000

_SHORT = re.compile(
    r"(?:(?P<ip>\[[^\]]*\]|[^:\[\]]*):)??(?:(?P<published>[^:]*):)?(?P<target>[^:/]+)(?:/(?P<protocol>\w+))?"
)
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


def parse(node: Node, context: Context) -> list[Port]:
    """The ports of one item: `[[ip:]published:]target[/protocol]`, ranges, or a mapping.

    Raises StackError (bad-port).
    """
    return _long(node, context) if isinstance(node, Mapping) else short(text(node))


def short(value: str) -> list[Port]:
    """The ports of `[[ip:]published:]target[/protocol]`. Raises StackError (bad-port)."""
    if value.count(":") > 3 and "[" not in value:
        host, published, target = value.rsplit(":", 2)
        value = f"[{host}]:{published}:{target}"
    match = _SHORT.fullmatch(value)
    if not match:
        raise StackError("bad-port", f"not a port: {value!r}", hint="[[address:]published:]target[/protocol]")
    protocol = _protocol(match["protocol"] or "tcp")
    return _expand(match["target"], match["published"] or "", address(match["ip"] or ""), protocol, "ingress")


def _long(node: Mapping, context: Context) -> list[Port]:
    fields = Fields(node, context, "a port")
    target = fields.require("target", _filled, "")
    published = fields.take("published", any_text, "")
    host = fields.take("host_ip", lambda child: address(text(child)), "")
    protocol = fields.take("protocol", lambda child: _protocol(text(child)), "tcp")
    mode = fields.take("mode", _mode, "ingress")
    fields.take("name", text, "")
    fields.take("app_protocol", text, "")
    fields.finish()
    return _expand(target, published, host, protocol, mode) if target else []


def _filled(node: Node) -> str:
    if not (value := any_text(node)):
        raise StackError("bad-port", "a port needs `target`", at=node.place)
    return value


def _mode(node: Node) -> str:
    value = text(node)
    if value not in MODES:
        raise StackError("bad-port", f"mode is ingress or host, not {value!r}", at=node.place)
    return value


def _protocol(value: str) -> str:
    if value.lower() not in PROTOCOLS:
        raise StackError("bad-port", f"no protocol {value!r}", hint="tcp, udp or sctp")
    return value.lower()


def address(value: str) -> str:
    """An address of the host, without brackets. Raises StackError (bad-port)."""
    value = value.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(value)) if value else ""
    except ValueError as error:
        raise StackError("bad-port", f"not an address: {value!r}") from error


def _numbers(value: str) -> range:
    match = _RANGE.fullmatch(value)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if not match or last < first or last > 65535 or last - first > MAX_RANGE:
        raise StackError("bad-port", f"not a port or a range of ports: {value!r}")
    return range(first, last + 1)


def _expand(target: str, published: str, address: str, protocol: str, mode: str) -> list[Port]:
    targets = _numbers(target)
    if 0 in targets:
        raise StackError("bad-port", "a container's port is not 0")
    sources = _numbers(published) if published else range(0)
    if sources and len(sources) != len(targets):
        if len(targets) != 1:
            raise StackError("bad-port", f"the ranges {published} and {target} differ in length")
        # As Docker does: one free port of the range.
        return [
            Port(
                target=targets[0],
                published=sources[0],
                published_last=sources[-1],
                host_ip=address,
                protocol=protocol,
                mode=mode,
            )
        ]
    return [
        Port(
            target=number,
            published=sources[index] if sources else 0,
            host_ip=address,
            protocol=protocol,
            mode=mode,
        )
        for index, number in enumerate(targets)
    ]


def expose(node: Node) -> list[str]:
    """An item of `expose`: `port[/protocol]` or a range, as Docker writes it."""
    value, _, protocol = any_text(node).partition("/")
    return [f"{number}/{_protocol(protocol or 'tcp')}" for number in _numbers(value)]
