"""The last line of up and of down."""

from __future__ import annotations

from typing import Any

import pytest

from stackfile.cli.output import summary
from stackfile.model.stack import Stack


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"create": 10}, "Up: 5 containers, 10 resources created in 1.9 s. Logs: stackfile logs -f"),
        ({"create": 1, "update": 1, "recreate": 2, "unchanged": 6},
         "Up: 5 containers, 1 resource created, 1 updated in place, 2 recreated, 6 unchanged in 1.9 s. "
         "Logs: stackfile logs -f"),
        ({"create": 0, "unchanged": 10}, "quickstart is up to date: 10 resources, 5 containers."),
        ({}, "quickstart is up to date: 10 resources, 5 containers."),
    ],
)  # fmt: skip
def test_up(counts: dict[str, int], text: str) -> None:
    assert summary.up("quickstart", {"counts": counts, "resources": 10, "containers": 5}, 1.94) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"containers": 5, "networks": 1, "kept": ["volume.data", "secret.store_token"]},
         "Down: 5 containers and 1 network removed; volume data and secret store_token kept."),
        ({"containers": 1, "networks": 1, "volumes": 1}, "Down: 1 container, 1 network and 1 volume removed."),
        ({}, "Down: nothing to remove."),
    ],
)  # fmt: skip
def test_down(result: dict[str, Any], text: str) -> None:
    assert summary.down(result) == text


def test_header() -> None:
    stack = Stack(name="quickstart", environment="dev", files=("/x/stack.yaml",))
    assert summary.header(stack) == "quickstart · environment dev · stack.yaml · embedded engine"
    assert summary.header(Stack(name="a", files=("-",))) == "a · - · embedded engine"
