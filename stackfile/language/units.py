"""Sizes, durations and CPU counts as Compose reads them."""

from __future__ import annotations

import re

from stackfile.errors import StackError

LIMIT = 1 << 63
"""Bytes and nanoseconds are signed 64-bit numbers, as Docker has them."""

_SIZE = re.compile(r"\+?((?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?) ?([kKmMgGtTpP]?)[iI]?[bB]?")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

_DURATION = re.compile(r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d|w))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_NANOSECONDS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
    "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000, "w": 604_800_000_000_000,
}  # fmt: skip


def size(text: str) -> int:
    """Bytes of `64m`, `1.5g`, `512 KiB`: units are powers of 1024 (docker/go-units RAMInBytes).

    Raises StackError (bad-size).
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise StackError("bad-size", f"not a size: {text!r}", hint="a number with b, k, m, g or t, such as 64m")
    number, unit = match.groups()
    value = float(number) * 1024 ** _POWERS[unit.lower()]
    if value >= LIMIT:
        raise StackError("bad-size", f"too large a size: {text!r:.80}", hint="sizes have 63 bits")
    return int(value)


def duration(text: str) -> int:
    """Nanoseconds of `1m30s`, `500ms`, `1.5h`; also d and w. Raises StackError (bad-duration)."""
    stripped = text.removeprefix("+")
    if stripped == "0":
        return 0
    if not _DURATION.fullmatch(stripped) or stripped.startswith("-"):
        raise StackError("bad-duration", f"not a duration: {text!r}", hint="a number with a unit, such as 10s or 1m30s")
    parts = _DURATION_PART.findall(stripped)
    if max(map(len, re.split(r"\D+", stripped))) > 40:
        value = LIMIT
    else:
        value = sum(_exact(number, _NANOSECONDS[unit]) for number, unit in parts)
    if value >= LIMIT:
        raise StackError("bad-duration", f"too long a duration: {text!r:.80}", hint="at most 292 years")
    return value


def _exact(number: str, factor: int) -> int:
    """Product without the rounding of floats."""
    whole, _, fraction = number.partition(".")
    return int(whole or 0) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)


def cpus(text: str) -> int:
    """Billionths of a CPU (Docker's NanoCpus) of `0.5`. Raises StackError (bad-value)."""
    try:
        number = float(text)
    except ValueError as error:
        raise StackError("bad-value", f"not a number of CPUs: {text!r}") from error
    if not 0 <= number < 1 << 20:
        raise StackError("bad-value", f"not a number of CPUs: {text!r}")
    return round(number * 1_000_000_000)
