from __future__ import annotations

import pytest

from stackfile.graph import FORMATS, build, render
from stackfile.model.stack import Attachment, Dependency, ImageResource, NetworkResource, Service, Stack

NETWORK = (Attachment(network="default"),)
STACK = Stack(
    name="shop",
    images={
        "base": ImageResource(name="base"),
        "app": ImageResource(name="app", base="base", base_is_stack_image=True),
    },
    networks={"default": NetworkResource(name="default", full_name="shop_default")},
    services={
        "web": Service(
            name="web",
            image="app",
            image_is_stack_image=True,
            networks=NETWORK,
            depends_on={"db": Dependency(condition="service_healthy")},
        ),
        "db": Service(name="db", image="app", image_is_stack_image=True, networks=NETWORK),
    },
)

TEXT = """\
service.web
├── image.app
│   └── image.base
├── network.default
└── service.db (healthy)
    ├── image.app …
    └── network.default
"""

DOT = """\
digraph "shop" {
  rankdir=LR;
  "image.base" [shape=component];
  "image.app" [shape=component];
  "network.default" [shape=hexagon];
  "service.web" [shape=box];
  "service.db" [shape=box];
  "image.app" -> "image.base";
  "service.web" -> "image.app";
  "service.web" -> "network.default";
  "service.web" -> "service.db" [label="healthy"];
  "service.db" -> "image.app";
  "service.db" -> "network.default";
}
"""

MERMAID = """\
graph LR
  n0[["image.base"]]
  n1[["image.app"]]
  n2{{"network.default"}}
  n3["service.web"]
  n4["service.db"]
  n1 --> n0
  n3 --> n1
  n3 --> n2
  n3 -->|healthy| n4
  n4 --> n1
  n4 --> n2
"""


@pytest.mark.parametrize(("format", "expected"), [("text", TEXT), ("dot", DOT), ("mermaid", MERMAID)])
def test_formats(format: str, expected: str) -> None:  # noqa: A002
    assert render(build(STACK), format) == expected


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_stack(format: str) -> None:  # noqa: A002
    assert "None" not in render(build(Stack(name="empty")), format)


def test_a_deep_chain_is_drawn() -> None:
    services = {
        f"s{n}": Service(name=f"s{n}", image="x", depends_on={f"s{n + 1}": Dependency()} if n < 2999 else {})
        for n in range(3000)
    }
    text = render(build(Stack(name="deep", services=services)), "text")
    assert len(text.splitlines()) == 3000
