from __future__ import annotations

import pytest

from stackfile.errors import StackError
from stackfile.language import units

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("64m", 64 << 20), ("64M", 64 << 20), ("64mb", 64 << 20), ("64MiB", 64 << 20), ("1.5g", 3 << 29),
        ("512 KiB", 512 << 10), ("1024", 1024), ("10b", 10), ("2t", 2 << 40), ("1p", 1 << 50),
    ],
)  # fmt: skip
def test_sizes(text: str, value: int) -> None:
    assert units.size(text) == value


@pytest.mark.parametrize("text", ["", "m", "12q", "-1m", "1,5g", "64mm", "1 . 5g", "0x10"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(StackError) as caught:
        units.size(text)
    assert caught.value.reason == "bad-size"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("10s", 10 * S), ("1m30s", 90 * S), ("500ms", S // 2), ("1.5h", 5400 * S), ("1d", 86400 * S),
        ("1w", 604800 * S), ("100us", 100_000), ("5ns", 5), (".5s", S // 2), ("1.000000001s", S + 1), ("2.s", 2 * S),
    ],
)  # fmt: skip
def test_durations(text: str, value: int) -> None:
    assert units.duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "5x", "-5s", "1m 30s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(StackError) as caught:
        units.duration(text)
    assert caught.value.reason == "bad-duration"


@pytest.mark.parametrize(("text", "value"), [("1", S), ("0.5", S // 2), ("1.25", 1_250_000_000), ("0", 0)])
def test_cpus(text: str, value: int) -> None:
    assert units.cpus(text) == value


@pytest.mark.parametrize("text", ["", "-1", "x", "nan", "inf"])
def test_bad_cpus(text: str) -> None:
    with pytest.raises(StackError):
        units.cpus(text)
