"""Endpoints: NetworkSettings of an inspect, NetworkingConfig and EndpointConfig of requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.daemon.dockerjson import ports, values
from stackfile.model import builtin
from stackfile.model.container import ContainerRecord, ContainerSpec, Endpoint
from stackfile.model.stack import Attachment

DEFAULT_MODES = ("", "default", "bridge")
OWN_MODES = ("none", "host")


def attachment(network: str, config: Mapping[str, Any] | None) -> Attachment:
    """An EndpointConfig."""
    config = config or {}
    ipam = values.mapping(config, "IPAMConfig")
    return Attachment(
        network=network,
        aliases=values.texts(config, "Aliases"),
        ipv4=values.text(ipam, "IPv4Address"),
        ipv6=values.text(ipam, "IPv6Address"),
        mac=values.text(config, "MacAddress"),
    )


def is_network(mode: str) -> bool:
    """Whether a NetworkMode names a network of the user's."""
    return mode not in DEFAULT_MODES and mode not in OWN_MODES and not mode.startswith("container:")


def mode_of(spec: ContainerSpec) -> str:
    """HostConfig.NetworkMode of an inspect."""
    if spec.network_mode:
        return spec.network_mode
    first = spec.networks[0].network if spec.networks else "default"
    return "default" if first in DEFAULT_MODES else first


def _endpoint(endpoint: Endpoint, wanted: Attachment | None, short_id: str, running: bool) -> dict[str, Any]:
    ipam = None
    if wanted is not None and (wanted.ipv4 or wanted.ipv6):
        ipam = {"IPv4Address": wanted.ipv4, "IPv6Address": wanted.ipv6}
        ipam = {key: value for key, value in ipam.items() if value}
    aliases = list(dict.fromkeys([*endpoint.aliases, short_id]))
    return {
        "IPAMConfig": ipam,
        "Links": None,
        "Aliases": aliases if endpoint.network not in builtin.DRIVERS else None,
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint_id(endpoint, short_id) if running and endpoint.network_id else "",
        "Gateway": endpoint.gateway if running else "",
        "IPAddress": endpoint.ipv4 if running else "",
        "IPPrefixLen": endpoint.ipv4_prefix if running else 0,
        "IPv6Gateway": endpoint.gateway6 if running else "",
        "GlobalIPv6Address": endpoint.ipv6 if running else "",
        "GlobalIPv6PrefixLen": endpoint.ipv6_prefix if running else 0,
        "MacAddress": endpoint.mac if running else "",
        "DriverOpts": None,
    }


def endpoint_id(endpoint: Endpoint, short_id: str) -> str:
    """An id for an endpoint, which has none of its own here: stable, and one per network and container."""
    return (short_id + endpoint.network_id)[:64].ljust(64, "0")


def endpoints(record: ContainerRecord, engine_id: str = "", *, listed: bool = False) -> dict[str, dict[str, Any]]:
    """NetworkSettings.Networks; a network that is joined only at the start has an entry without addresses.

    `listed` is the form of `containers/json`, which has no aliases.
    """
    wanted = {item.network: item for item in record.spec.networks}
    short_id = record.id[:12]
    found = {endpoint.network: endpoint for endpoint in record.endpoints}
    started = bool(record.state.started_at)
    for name in _joined_at_start(record.spec, alone=not found):
        identity = builtin.network_id(engine_id, name) if started and name in builtin.DRIVERS else ""
        found.setdefault(name, Endpoint(network=name, network_id=identity))
    encoded = {
        name: _endpoint(endpoint, wanted.get(name), short_id, record.state.running) for name, endpoint in found.items()
    }
    if listed:
        for entry in encoded.values():
            entry["Aliases"] = None
    return encoded


def _joined_at_start(spec: ContainerSpec, *, alone: bool) -> list[str]:
    if spec.network_mode in OWN_MODES:
        return [spec.network_mode]
    if spec.networks or not alone or spec.network_mode not in DEFAULT_MODES:
        return [item.network for item in spec.networks]
    return ["bridge"]


def settings(record: ContainerRecord, image_ports: tuple[str, ...], engine_id: str) -> dict[str, Any]:
    """NetworkSettings of an inspect."""
    networks = endpoints(record, engine_id)
    # The flat fields speak of Docker's default bridge alone.
    flat = networks.get("bridge", {})
    running = record.state.running
    return {
        "Bridge": "",
        "SandboxID": record.id if record.state.started_at else "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": ports.network_ports(record, image_ports),
        "SandboxKey": f"/proc/{record.state.pid}/ns/net" if running and record.state.pid else "",
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": flat.get("EndpointID", ""),
        "Gateway": flat.get("Gateway", ""),
        "GlobalIPv6Address": flat.get("GlobalIPv6Address", ""),
        "GlobalIPv6PrefixLen": flat.get("GlobalIPv6PrefixLen", 0),
        "IPAddress": flat.get("IPAddress", ""),
        "IPPrefixLen": flat.get("IPPrefixLen", 0),
        "IPv6Gateway": flat.get("IPv6Gateway", ""),
        "MacAddress": flat.get("MacAddress", ""),
        "Networks": networks,
    }
