from __future__ import annotations

import networkx
import pytest

from stackfile.errors import Place, StackError
from stackfile.graph import build, find_cycle, order
from stackfile.model.stack import (
    Attachment,
    ConfigResource,
    Dependency,
    FileRef,
    ImageResource,
    Mount,
    NetworkResource,
    Origin,
    SecretRef,
    SecretResource,
    Service,
    Stack,
    Step,
    VolumeResource,
)


def shop() -> Stack:
    network = (Attachment(network="default"),)
    web = Service(
        name="web",
        image="app",
        image_is_stack_image=True,
        networks=network,
        environment={"TOKEN": SecretRef("url"), "A": "b", "C": None},
        files=(FileRef(kind="config", source="conf", target="/c"),),
        depends_on={"db": Dependency(condition="service_healthy")},
    )
    db = Service(
        name="db",
        image="postgres:16",
        networks=network,
        mounts=(Mount(type="volume", source="data", target="/d"), Mount(type="bind", source="/x", target="/x")),
        files=(FileRef(kind="secret", source="password", target="/p"),),
    )
    side = Service(name="side", image="x", network_mode="service:web")
    copied = Step(kind="copy", source=("a",), target="/", from_image="tools")
    return Stack(
        name="shop",
        images={
            "app": ImageResource(name="app", base="base", base_is_stack_image=True, steps=(copied,)),
            "base": ImageResource(name="base"),
            "tools": ImageResource(name="tools"),
        },
        services={"web": web, "db": db, "side": side},
        networks={"default": NetworkResource(name="default", full_name="shop_default")},
        volumes={"data": VolumeResource(name="data", full_name="shop_data")},
        configs={"conf": ConfigResource(name="conf", content="x")},
        secrets={
            "password": SecretResource(name="password"),
            "url": SecretResource(name="url", content=("a", SecretRef("password"))),
        },
        origins={"service.web": Origin(Place("f", 1, 1)), "service.db": Origin(Place("f", 2, 1))},
    )


def test_every_reference_is_an_edge() -> None:
    graph = build(shop())
    assert {(source, target, data["condition"]) for source, target, data in graph.edges(data=True)} == {
        ("image.app", "image.base", "built"),
        ("image.app", "image.tools", "built"),
        ("secret.url", "secret.password", "exists"),
        ("service.web", "image.app", "built"),
        ("service.web", "config.conf", "exists"),
        ("service.web", "secret.url", "exists"),
        ("service.web", "network.default", "exists"),
        ("service.web", "service.db", "service_healthy"),
        ("service.db", "network.default", "exists"),
        ("service.db", "volume.data", "exists"),
        ("service.db", "secret.password", "exists"),
        ("service.side", "service.web", "service_started"),
    }
    assert graph.nodes["service.web"] == {"kind": "service", "name": "web"}


def test_what_replicas_use_counts_too() -> None:
    variants = tuple(
        Service(name="a", image="x", mounts=(Mount(type="volume", source=f"v{n}", target="/v"),)) for n in (1, 2)
    )
    first = Service(name="a", image="x", mounts=variants[0].mounts, variants=variants)
    volumes = {name: VolumeResource(name=name, full_name=name) for name in ("v1", "v2")}
    graph = build(Stack(name="s", services={"a": first}, volumes=volumes))
    assert set(graph.successors("service.a")) == {"volume.v1", "volume.v2"}


def test_order_puts_dependencies_first_and_is_stable() -> None:
    graph = build(shop())
    found = order(graph)
    assert all(found.index(target) < found.index(source) for source, target in graph.edges)
    assert found == order(build(shop()))
    assert found == [
        "image.base", "image.tools", "image.app", "network.default", "volume.data", "config.conf", "secret.password",
        "secret.url", "service.db", "service.web", "service.side",
    ]  # fmt: skip


def test_cycles_name_their_places() -> None:
    stack = shop()
    services = {
        "web": Service(name="web", image="x", depends_on={"db": Dependency()}),
        "db": Service(name="db", image="x", depends_on={"web": Dependency()}),
    }
    graph = build(Stack(name="s", services=services, origins=stack.origins))
    assert sorted(find_cycle(graph)) == ["service.db", "service.web"]
    with pytest.raises(StackError) as caught:
        order(graph)
    assert caught.value.reason == "dependency-cycle"
    assert {caught.value.at, *caught.value.stack} == {Place("f", 1, 1), Place("f", 2, 1)}


def test_cycles_of_images_have_their_own_reason() -> None:
    images = {
        "a": ImageResource(name="a", base="b", base_is_stack_image=True),
        "b": ImageResource(name="b", base="a", base_is_stack_image=True),
    }
    with pytest.raises(StackError) as caught:
        order(build(Stack(name="s", images=images)))
    assert caught.value.reason == "image-cycle"


def test_without_a_cycle_there_is_none() -> None:
    graph = build(shop())
    assert find_cycle(graph) == []
    assert networkx.is_directed_acyclic_graph(graph)
