"""Sizes, durations and ages for a person."""

from __future__ import annotations

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_AGES = ((60, "s", 1), (3600, "min", 60), (86400, "h", 3600), (0, "d", 86400))


def size(count: int) -> str:
    """`64 MiB`; one decimal below ten units where it says something."""
    value, unit = _scaled(count)
    return f"{value} {unit}"


def usage(used: int, limit: int) -> str:
    """`11 / 96 MiB`: what is used, and of what."""
    if not limit:
        return size(used)
    value, unit = _scaled(used)
    total, total_unit = _scaled(limit)
    return f"{value} / {total} {unit}" if unit == total_unit else f"{value} {unit} / {total} {total_unit}"


def duration(nanoseconds: int) -> str:
    """`2 s`, `1.5 s`, `250 ms`, `1 min 30 s`."""
    if nanoseconds < 10**9:
        return f"{nanoseconds / 10**6:g} ms" if nanoseconds else "0 s"
    seconds = nanoseconds / 10**9
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f} min {rest:g} s" if rest else f"{minutes:.0f} min"


def age(seconds: float) -> str:
    """`3 s`, `1 min`, `5 h`, `2 d`."""
    seconds = max(0.0, seconds)
    for below, unit, divisor in _AGES:
        if not below or seconds < below:
            return f"{int(seconds // divisor)} {unit}"
    raise AssertionError("the last row takes everything")


def _scaled(count: int) -> tuple[str, str]:
    value = float(count)
    for unit in _SIZES:
        if value < 1024 or unit == _SIZES[-1]:
            break
        value /= 1024
    text = f"{value:.1f}" if value < 10 and unit != "B" else f"{value:.0f}"
    return text.removesuffix(".0"), unit
