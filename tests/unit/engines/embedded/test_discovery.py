"""What the resolver is told of containers that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from stackfile.engines.embedded.discovery import Discovery
from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.registry import Container, Placement, Registry
from stackfile.model.container import ContainerSpec, ContainerState, Endpoint, NetworkRecord
from stackfile.network.resolver_client import ResolverClient
from stackfile.resolver.table import Scope, Table, Zone
from stackfile.store.state import StateStore

NETWORK = NetworkRecord(id="n", name="p_default")


class _Networks:
    def get(self, identity: str) -> NetworkRecord | None:
        return NETWORK if identity == "n" else None

    def list(self) -> list[NetworkRecord]:
        return [NETWORK]


class _Resolver:
    def __init__(self) -> None:
        self.zones: dict[str, Zone] = {}
        self.scopes: dict[str, Scope] = {}

    async def table(self, table: Table) -> None:
        self.zones, self.scopes = dict(table.zones), dict(table.scopes)

    async def update(self, zones: Mapping[str, Zone | None], scopes: Mapping[str, Scope | None]) -> None:
        self.zones = {key: zone for key, zone in {**self.zones, **zones}.items() if zone is not None}
        self.scopes = {key: scope for key, scope in {**self.scopes, **scopes}.items() if scope is not None}


def test_a_network_without_reachable_containers_has_no_zone(tmp_path: Path) -> None:
    """Its zone would stay when it is removed."""
    state = StateStore(str(tmp_path / "state.db"), "id")
    registry, resolver = Registry(state), _Resolver()
    discovery = Discovery(cast(ResolverClient, resolver), registry, cast(Networks, _Networks()))
    web = Container("a" * 64, ContainerSpec(name="p-web-1"), ContainerState(status="running"), "")
    web.place = Placement(endpoints=(Endpoint(network="p_default", network_id="n", ipv4="10.0.0.2"),))
    registry.add(web)

    async def scenario() -> None:
        await discovery.replace()
        assert resolver.zones == {}
        web.reachable = True
        await discovery.announce(web)
        assert resolver.zones["n"].names["p-web-1"] == ("10.0.0.2",)
        assert list(resolver.scopes) == [web.id]
        web.reachable = False
        await discovery.withdraw(web)
        assert (resolver.zones, resolver.scopes) == ({}, {})

    asyncio.run(scenario())
    state.close()
