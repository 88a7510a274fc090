"""Sizes, durations and times as they are typed on a command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from stackfile.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_NANOSECONDS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9,
}  # fmt: skip


def size(name: str, text: str) -> int:
    """Bytes of `64m`, `1.5g`, `1024`; units are powers of 1024, as Docker's. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError("usage", f"--{name}: {text!r} is no size", hint="64m, 1.5g")
    return int(float(match[1]) * 1024 ** _POWERS[match[2].lower()])


def duration(name: str, text: str) -> int:
    """Nanoseconds of `1m30s`, `250ms`. Raises UsageError."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError("usage", f"--{name}: {text!r} is no duration", hint="1m30s, 250ms")
    return int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))


def moment(name: str, text: str, now: float | None = None) -> int:
    """Nanoseconds since the epoch of `10m` (ago), a Unix time, or RFC 3339 (local time without a zone).

    Raises UsageError.
    """
    if not text:
        return 0
    if re.fullmatch(r"\d+(\.\d+)?", text):
        whole, _, fraction = text.partition(".")
        return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)
    if re.fullmatch(r"([\d.]+[a-zµ]+)+", text):
        return int((time.time() if now is None else now) * 1e9) - duration(name, text)
    try:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1e9)
    except ValueError as error:
        raise UsageError("usage", f"--{name}: {text!r} is no time", hint="10m, 2026-11-24T14:00:00") from error


def cpus(name: str, text: str) -> int:
    """Billionths of a CPU of `1.5`. Raises UsageError."""
    try:
        count = float(text)
    except ValueError as error:
        raise UsageError("usage", f"--{name}: {text!r} is no number of CPUs") from error
    return round(count * 1e9)
