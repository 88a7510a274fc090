"""Port maps: `{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}`, and the list of `containers/json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.daemon.dockerjson import values
from stackfile.errors import ActionError
from stackfile.model.container import ContainerRecord, PublishedPort
from stackfile.model.stack import Port

_PROTOCOLS = ("tcp", "udp", "sctp")
ANY, ANY6 = "0.0.0.0", "::"


def split(key: str) -> tuple[int, str]:
    """`80/tcp` or `80` as number and protocol. Raises ActionError (`bad-request`)."""
    port, _, protocol = key.partition("/")
    protocol = (protocol or "tcp").lower()
    if not port.isdigit() or not 0 < int(port) < 65536 or protocol not in _PROTOCOLS:
        raise ActionError("bad-request", f"invalid port {key!r}")
    return int(port), protocol


def decode(bindings: Mapping[str, Any]) -> tuple[Port, ...]:
    """HostConfig.PortBindings."""
    ports: list[Port] = []
    for key in bindings:
        target, protocol = split(key)
        # A port without a binding is published on a port that the engine chooses.
        ports.extend(
            _port(target, protocol, values.text(binding, "HostIp"), values.text(binding, "HostPort"))
            for binding in values.objects(bindings, key) or [{}]
        )
    return tuple(ports)


def _port(target: int, protocol: str, host_ip: str, text: str) -> Port:
    """`text` is a host port, empty for one that the engine chooses, or a range: any one of it."""
    first, _, last = text.partition("-")
    numbers = [int(part) if part.isdigit() else 65536 for part in (first or "0", last or first or "0")]
    if numbers[0] > numbers[1] or numbers[1] > 65535:
        raise ActionError("bad-request", f"invalid host port {text!r}")
    end = numbers[1] if numbers[1] > numbers[0] else 0
    return Port(target=target, published=numbers[0], published_last=end, host_ip=host_ip, protocol=protocol)


def bindings(ports: tuple[Port, ...]) -> dict[str, list[dict[str, str]]]:
    """HostConfig.PortBindings of an inspect: as asked for."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        key = f"{port.target}/{port.protocol}"
        published = "-".join(str(number) for number in (port.published, port.published_last) if number)
        found.setdefault(key, []).append({"HostIp": port.host_ip, "HostPort": published})
    return found


def exposed(record: ContainerRecord, image_ports: tuple[str, ...]) -> list[str]:
    """Every port of a container as `80/tcp`: of the image, exposed, published."""
    spec = record.spec
    keys = [*image_ports, *spec.expose, *(f"{port.target}/{port.protocol}" for port in spec.ports)]
    return list(dict.fromkeys(key if "/" in key else f"{key}/tcp" for key in keys if "-" not in key))


def network_ports(record: ContainerRecord, image_ports: tuple[str, ...]) -> dict[str, list[dict[str, str]] | None]:
    """NetworkSettings.Ports: as they really are; null for a port that is exposed only. Empty when not running."""
    if not record.state.running:
        return {}
    found: dict[str, list[dict[str, str]] | None] = dict.fromkeys(exposed(record, image_ports))
    for port in record.published:
        key = f"{port.target}/{port.protocol}"
        hosts = [port.host_ip or ANY]
        if hosts == [ANY] and _everywhere(record, port):
            hosts.append(ANY6)
        entries = [{"HostIp": host, "HostPort": str(port.published)} for host in hosts]
        found[key] = [*(found.get(key) or ()), *entries]
    return found


def _everywhere(record: ContainerRecord, port: PublishedPort) -> bool:
    """Whether a port was asked for without an address: then it is published for IPv4 and IPv6."""
    asked = [item for item in record.spec.ports if (item.target, item.protocol) == (port.target, port.protocol)]
    return any(not item.host_ip and _includes(item, port.published) for item in asked) or not asked


def _includes(asked: Port, number: int) -> bool:
    """Whether a host port may have come of what was asked for: chosen by the engine, of a range, or the port itself."""
    return asked.published == 0 or asked.published <= number <= max(asked.published, asked.published_last)


def summary(record: ContainerRecord, image_ports: tuple[str, ...]) -> list[dict[str, Any]]:
    """Ports of `containers/json`."""
    rows: list[dict[str, Any]] = []
    for key, hosts in network_ports(record, image_ports).items():
        target, protocol = split(key)
        if hosts is None:
            rows.append({"PrivatePort": target, "Type": protocol})
            continue
        rows.extend(
            {"IP": host["HostIp"], "PrivatePort": target, "PublicPort": int(host["HostPort"]), "Type": protocol}
            for host in hosts
        )
    return rows
