"""Who has a port, and where its requests go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from stackfile.engines.embedded.networks import Networks
from stackfile.engines.embedded.ports import Ports, wanted
from stackfile.engines.embedded.registry import Container, Placement, Registry
from stackfile.errors import ActionError
from stackfile.model import labels
from stackfile.model.container import ContainerSpec, ContainerState, Endpoint, Health, NetworkRecord
from stackfile.model.image import ImageConfig
from stackfile.model.stack import Port
from stackfile.network.manager import NetworkManager
from stackfile.network.publication import PortKey, Publication
from stackfile.network.resolver_client import ResolverClient
from stackfile.store.run import RunStore
from stackfile.store.state import StateStore

IMAGE = ImageConfig(exposed_ports=("80/tcp", "53/udp"))


class Kernel:
    """Remembers reservations and publications."""

    def __init__(self) -> None:
        self.reserved: dict[PortKey, str] = {}
        self.shown: dict[PortKey, tuple[tuple[str, int], ...]] = {}

    def reserve(self, owner: str, protocol: str, host_ip: str, host_port: int) -> int:
        number = host_port or 40_000 + len(self.reserved)
        key = PortKey(protocol, host_ip, number).normal()
        if self.reserved.setdefault(key, owner) != owner:
            raise ActionError("port-taken", str(key))
        return number

    def unreserve(self, owner: str, protocol: str, host_ip: str, host_port: int) -> None:
        del self.reserved[PortKey(protocol, host_ip, host_port).normal()]

    def reservations(self) -> list[tuple[str, PortKey]]:
        return [(owner, key) for key, owner in self.reserved.items()]

    def publish(self, entries: Sequence[Publication]) -> None:
        self.shown.update({entry.key: entry.backends for entry in entries})

    def unpublish(self, keys: Sequence[PortKey]) -> None:
        for key in keys:
            self.shown.pop(key, None)

    def published(self) -> dict[PortKey, tuple[tuple[str, int], ...]]:
        return self.shown


class Line:
    """Remembers what the resolver is asked to relay, by port."""

    def __init__(self) -> None:
        self.relayed: dict[str, tuple[str, Sequence[tuple[str, int]]]] = {}

    def relay(self, ports: Mapping[str, tuple[str, Sequence[tuple[str, int]]] | None]) -> None:
        for key, value in ports.items():
            self.relayed.pop(key, None)
            if value is not None:
                self.relayed[key] = value

    def settle_relays(self) -> None:
        pass


class Nets:
    """Two networks: n, and i, which is internal."""

    def get(self, identity: str) -> NetworkRecord:
        return NetworkRecord(id=identity, name=identity, internal=identity == "i")


class Bench:
    def __init__(self, directory: Path) -> None:
        self.state = StateStore(str(directory / "state.db"), "id")
        self.run = RunStore(str(directory / "run.db"), "boot")
        self.registry = Registry(self.state)
        self.kernel = Kernel()
        self.line = Line()
        networks, resolver = cast(Networks, Nets()), cast(ResolverClient, self.line)
        self.ports = Ports(cast(NetworkManager, self.kernel), self.run, self.registry, networks, resolver)

    def running(self, number: int, *ports: Port, service: str = "web", **fields: object) -> Container:
        """A running replica that has its ports."""
        own = {labels.PROJECT: "p", labels.SERVICE: service} if service else {}
        spec = ContainerSpec(name=f"c{number}", labels=own, ports=ports, **fields)  # type: ignore[arg-type]
        endpoint = Endpoint(network="n", network_id="n", ipv4=f"10.0.0.{number}")
        container = Container(f"id{number}", spec, ContainerState(status="running"), "")
        container.place = Placement(endpoints=(endpoint,))
        container.reachable = True
        self.registry.add(container)
        container.place = replace(container.place, published=self.ports.acquire(container, IMAGE))
        self.ports.refresh(container)
        return container

    def shown(self, port: int) -> set[str]:
        return {address for address, _ in self.kernel.shown[PortKey("tcp", "", port)]}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.state.close()
    made.run.close()


WEB = Port(target=80, published=8080)


def test_replicas_share_a_fixed_port(bench: Bench) -> None:
    first, second = bench.running(1, WEB), bench.running(2, WEB)
    assert bench.shown(8080) == {"10.0.0.1", "10.0.0.2"}
    assert set(bench.kernel.reserved.values()) == {"p/web"}
    bench.ports.release(first)
    assert bench.shown(8080) == {"10.0.0.2"}
    bench.ports.release(second)
    assert (bench.kernel.shown, bench.kernel.reserved, bench.run.list_ports()) == ({}, {}, [])


def test_others_may_not_have_it(bench: Bench) -> None:
    bench.running(1, WEB)
    with pytest.raises(ActionError) as caught:
        bench.running(2, Port(target=1, published=9090), WEB, service="other")
    assert caught.value.reason == "port-taken"
    assert PortKey("tcp", "", 9090) not in bench.kernel.reserved


def test_a_chosen_port_belongs_to_its_container(bench: Bench) -> None:
    first, second = bench.running(1, Port(target=80)), bench.running(2, Port(target=80))
    assert first.place.published[0].published != second.place.published[0].published
    assert set(bench.kernel.reserved.values()) == {"id1", "id2"}
    assert first.place.published[0].host_ip == "0.0.0.0"


def test_only_those_get_requests_that_may(bench: Bench) -> None:
    first, second = bench.running(1, WEB), bench.running(2, WEB)
    for state in (
        ContainerState(status="paused"),
        ContainerState(status="running", health=Health(status="starting")),
        ContainerState(status="running", health=Health(status="unhealthy")),
    ):
        second.state = state
        bench.ports.refresh(second)
        assert bench.shown(8080) == {"10.0.0.1"}, state
    second.state = ContainerState(status="running", health=Health(status="healthy"))
    first.reachable = False
    bench.ports.refresh(first)
    assert bench.shown(8080) == {"10.0.0.2"}
    second.reachable = False
    bench.ports.refresh(second)
    assert bench.shown(8080) == set()
    assert bench.ports.expected(second) == {PortKey("tcp", "", 8080): ()}


def test_adoption_and_what_nobody_has(bench: Bench) -> None:
    first = bench.running(1, WEB)
    bench.kernel.reserve("gone", "tcp", "", 9090)
    bench.kernel.publish([Publication("tcp", "", 9090, (("10.0.0.9", 1),))])
    networks, resolver = cast(Networks, Nets()), cast(ResolverClient, bench.line)
    ports = Ports(cast(NetworkManager, bench.kernel), bench.run, bench.registry, networks, resolver)
    ports.adopt(first)
    ports.refresh(first)
    ports.release_unknown()
    assert bench.kernel.reserved == {PortKey("tcp", "", 8080): "p/web"}
    assert bench.kernel.shown == {PortKey("tcp", "", 8080): (("10.0.0.1", 80),)}


def test_which_ports_are_wanted() -> None:
    def of(**fields: object) -> list[tuple[int, str]]:
        container = Container("id", ContainerSpec(**fields), ContainerState(), "")  # type: ignore[arg-type]
        return [(port.target, port.protocol) for port in wanted(container, IMAGE)]

    assert of(ports=(WEB,)) == [(80, "tcp")]
    assert of(ports=(WEB,), publish_all=True) == [(80, "tcp"), (53, "udp")]
    assert of(publish_all=True, expose=("9/tcp", "80")) == [(80, "tcp"), (53, "udp"), (9, "tcp")]
    assert of(ports=(WEB,), network_mode="host") == []
    assert of(ports=(WEB,), network_mode="container:x") == []


def test_ipv6_is_relayed_to_containers_without_it(bench: Bench) -> None:
    first = bench.running(1, Port(target=80, published=8080))
    second = bench.running(2, Port(target=80, published=8080))
    key = "port/p/web/tcp/any/8080"
    assert bench.line.relayed == {key: ("tcp", (("10.0.0.1", 80), ("10.0.0.2", 80)))}
    bench.ports.release(first)
    assert bench.line.relayed == {key: ("tcp", (("10.0.0.2", 80),))}
    bench.ports.release(second)
    assert bench.line.relayed == {}


def test_relay_leads_into_no_internal_network(bench: Bench) -> None:
    container = bench.running(1, Port(target=80, published=8080))
    container.place = Placement(
        endpoints=(Endpoint(network="i", network_id="i", ipv4="10.1.0.1"),), published=container.place.published
    )
    bench.ports.refresh(container)
    assert [backends for _, backends in bench.line.relayed.values()] == [()]
    assert bench.shown(8080) == {"10.1.0.1"}
    container.place = replace(
        container.place, endpoints=(*container.place.endpoints, Endpoint(network="n", network_id="n", ipv4="10.0.0.1"))
    )
    bench.ports.refresh(container)
    assert [backends for _, backends in bench.line.relayed.values()] == [(("10.0.0.1", 80),)]


def test_what_the_kernel_should_have(bench: Bench) -> None:
    container = bench.running(1, Port(target=80, published=8080), Port(target=80, published=8081, host_ip="::1"))
    assert bench.ports.expected(container) == {PortKey("tcp", "", 8080): (("10.0.0.1", 80),)}


def test_range_gives_each_container_a_free_port(bench: Bench) -> None:
    asked = Port(target=80, published=8000, published_last=8002)
    first, second = bench.running(1, asked), bench.running(2, asked)
    assert [port.published for each in (first, second) for port in each.place.published] == [8000, 8001]
    bench.ports.release(second)
    again = bench.ports.acquire(second, IMAGE)
    assert [port.published for port in again] == [8001]
    bench.running(3, asked)
    with pytest.raises(ActionError) as caught:
        bench.running(4, asked)
    assert caught.value.reason == "port-taken"


@pytest.mark.parametrize("adopted", [False, True])
def test_port_at_0_0_0_0_is_for_ipv4_alone(bench: Bench, adopted: bool) -> None:
    container = bench.running(1, Port(target=80, published=8080, host_ip="0.0.0.0"))
    (endpoint,) = container.place.endpoints
    container.place = replace(container.place, endpoints=(replace(endpoint, ipv6="fd00::1"),))
    if adopted:
        networks, resolver = cast(Networks, Nets()), cast(ResolverClient, bench.line)
        bench.ports = Ports(cast(NetworkManager, bench.kernel), bench.run, bench.registry, networks, resolver)
        bench.ports.adopt(container)
    bench.ports.refresh(container)
    assert bench.shown(8080) == {"10.0.0.1"}
    assert [backends for _, backends in bench.line.relayed.values()] == [()]
