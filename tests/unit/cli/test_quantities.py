"""Sizes, durations and times of the command line."""

from __future__ import annotations

from datetime import datetime

import pytest

from stackfile.cli import quantities
from stackfile.errors import UsageError


@pytest.mark.parametrize(
    ("text", "count"),
    [("64m", 64 << 20), ("64M", 64 << 20), ("1.5g", 3 << 29), ("1024", 1024), ("1kb", 1024), ("2MiB", 2 << 20)],
)
def test_size(text: str, count: int) -> None:
    assert quantities.size("memory", text) == count


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1m30s", 90 * 10**9), ("250ms", 25 * 10**7), ("1.5h", 5400 * 10**9), ("1d", 864 * 10**11)],
)
def test_duration(text: str, nanoseconds: int) -> None:
    assert quantities.duration("since", text) == nanoseconds


def test_moment() -> None:
    assert quantities.moment("since", "") == 0
    assert quantities.moment("since", "1700000000.25") == 1_700_000_000_250_000_000
    assert quantities.moment("since", "10m", now=1000.0) == 400 * 10**9
    assert quantities.moment("since", "2026-11-24T14:00:00Z") == 1_795_528_800 * 10**9
    local = datetime(2026, 11, 24, 14).astimezone()
    assert quantities.moment("since", "2026-11-24T14:00:00") == int(local.timestamp()) * 10**9


def test_cpus() -> None:
    assert quantities.cpus("cpus", "1.5") == 1_500_000_000


@pytest.mark.parametrize("text", ["", "much", "12q", "-1m"])
def test_wrong(text: str) -> None:
    for function in (quantities.size, quantities.duration, quantities.cpus):
        if not (function is quantities.cpus and text == "-1m"):
            with pytest.raises(UsageError):
                function("name", text)
    if text:
        with pytest.raises(UsageError):
            quantities.moment("since", text)
