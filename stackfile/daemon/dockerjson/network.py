"""Networks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackfile.daemon.dockerjson import filters, networking, times, values
from stackfile.daemon.dockerjson.filters import Filters, Test
from stackfile.errors import ActionError
from stackfile.model import builtin
from stackfile.model.container import ContainerRecord, Endpoint, NetworkRecord

BUILT_IN = tuple(builtin.DRIVERS)


def encode(record: NetworkRecord, members: Sequence[ContainerRecord] = ()) -> dict[str, Any]:
    """A network with the containers that are running on it."""
    return {
        "Name": record.name,
        "Id": record.id,
        "Created": times.or_zero(record.created),
        "Scope": record.scope,
        "Driver": record.driver,
        "EnableIPv6": record.enable_ipv6 or any(":" in subnet for subnet in record.subnets),
        "IPAM": {"Driver": "default", "Options": None if record.name in BUILT_IN else {}, "Config": _ipam(record)},
        "Internal": record.internal,
        "Attachable": record.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {member.id: _member(member, record) for member in members if member.state.running},
        "Options": _options(record),
        "Labels": dict(record.labels),
    }


def _options(record: NetworkRecord) -> dict[str, str]:
    """Options; the default network says what it is, as Docker's does."""
    if record.name != "bridge":
        return dict(record.options)
    prefix = "com.docker.network"
    return {
        f"{prefix}.bridge.default_bridge": "true",
        f"{prefix}.bridge.enable_icc": "true",
        f"{prefix}.bridge.enable_ip_masquerade": "true",
        f"{prefix}.bridge.host_binding_ipv4": "0.0.0.0",
        f"{prefix}.bridge.name": record.interface,
        f"{prefix}.driver.mtu": "1500",
        **record.options,
    }


def with_built_in(records: Sequence[NetworkRecord], engine_id: str) -> list[NetworkRecord]:
    """The networks and those that every engine has: host, none, and bridge also while no container needs it."""
    there = {record.name for record in records}
    return [
        *records,
        *(
            NetworkRecord(id=builtin.network_id(engine_id, name), name=name, driver=driver)
            for name, driver in builtin.DRIVERS.items()
            if name not in there
        ),
    ]


def _ipam(record: NetworkRecord) -> list[dict[str, str]]:
    gateways = {subnet: gateway for subnet, gateway in zip(record.subnets, record.gateways, strict=False) if gateway}
    return [
        {"Subnet": subnet, **({"Gateway": gateways[subnet]} if subnet in gateways else {})} for subnet in record.subnets
    ]


def _member(member: ContainerRecord, network: NetworkRecord) -> dict[str, str]:
    none = Endpoint(network=network.name, network_id=network.id)
    endpoint = next((item for item in member.endpoints if item.network_id == network.id), none)
    return {
        "Name": member.spec.name,
        "EndpointID": networking.endpoint_id(endpoint, member.id[:12]),
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.ipv4}/{endpoint.ipv4_prefix}" if endpoint.ipv4 else "",
        "IPv6Address": f"{endpoint.ipv6}/{endpoint.ipv6_prefix}" if endpoint.ipv6 else "",
    }


def decode(body: Mapping[str, Any]) -> NetworkRecord:
    """The body of `networks/create`. Raises ActionError (`bad-request`)."""
    name = values.text(body, "Name")
    if not name:
        raise ActionError("bad-request", "a network needs a name")
    driver = values.text(body, "Driver") or "bridge"
    if driver in ("default",):
        driver = "bridge"
    configs = [one for one in values.objects(values.mapping(body, "IPAM"), "Config") if values.text(one, "Subnet")]
    return NetworkRecord(
        id="",
        name=name,
        driver=driver,
        subnets=tuple(values.text(config, "Subnet") for config in configs),
        gateways=tuple(values.text(config, "Gateway") for config in configs),
        internal=values.flag(body, "Internal"),
        attachable=values.flag(body, "Attachable"),
        enable_ipv6=values.flag(body, "EnableIPv6"),
        labels=values.text_mapping(body, "Labels"),
        options=values.text_mapping(body, "Options"),
    )


def select(records: Sequence[NetworkRecord], wanted: Filters, used: frozenset[str]) -> list[NetworkRecord]:
    """The networks that pass the filters; `used` has the ids of networks with containers."""
    tests: dict[str, Test[NetworkRecord]] = {
        **_TESTS,
        "dangling": lambda record, value: (record.id not in used) == filters.is_true(value),
    }
    return filters.select(records, wanted, tests, every=("label",))


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return pattern in text


_TESTS: dict[str, Test[NetworkRecord]] = {
    "id": lambda record, value: record.id.startswith(value),
    "name": lambda record, value: _matches(value, record.name),
    "driver": lambda record, value: record.driver == value,
    "scope": lambda record, value: record.scope == value,
    "label": lambda record, value: filters.has_label(record.labels, value),
    "type": lambda record, value: (record.name in BUILT_IN) == (value == "builtin"),
}
