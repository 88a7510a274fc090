"""Replicas of a service as one address."""

from __future__ import annotations

import pytest

from stackfile.cli.output import addresses


@pytest.mark.parametrize(
    ("indices", "text"),
    [([], "service.web"), ([1], "service.web"), ([2], "service.web[2]"), ([1, 2], "service.web[1..2]"),
     ([3, 1], "service.web[1,3]"), ([1, 2, 3, 5], "service.web[1..3,5]")],
)  # fmt: skip
def test_join(indices: list[int], text: str) -> None:
    assert addresses.join("service.web", indices) == text


@pytest.mark.parametrize(
    ("address", "parts"),
    [("service.web[12]", ("service.web", 12)), ("volume.data", ("volume.data", 0)), ("a[b]", ("a[b]", 0))],
)
def test_split(address: str, parts: tuple[str, int]) -> None:
    assert addresses.split(address) == parts


@pytest.mark.parametrize(("text", "found"), [("", set()), ("1", {1}), ("1..3", {1, 2, 3}), ("1,3", {1, 3})])
def test_indices(text: str, found: set[int]) -> None:
    assert addresses.indices(text) == found
