"""Sizes, durations, ages."""

from __future__ import annotations

import pytest

from stackfile.cli.output import units


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (64 << 20, "64 MiB"), (9 << 30, "9 GiB")],
)
def test_size(count: int, text: str) -> None:
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("used", "limit", "text"),
    [(11 << 20, 96 << 20, "11 / 96 MiB"), (9 << 20, 0, "9 MiB"), (300 << 10, 64 << 20, "300 KiB / 64 MiB")],
)
def test_usage(used: int, limit: int, text: str) -> None:
    assert units.usage(used, limit) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0 s"), (25 * 10**7, "250 ms"), (15 * 10**8, "1.5 s"), (60 * 10**9, "1 min"), (90 * 10**9, "1 min 30 s")],
)
def test_duration(nanoseconds: int, text: str) -> None:
    assert units.duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (3.9, "3 s"), (61, "1 min"), (7200, "2 h"), (200000, "2 d")]
)
def test_age(seconds: float, text: str) -> None:
    assert units.age(seconds) == text
