"""Times: nanoseconds since the epoch inside, RFC 3339 in records."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ns() -> int:
    """Nanoseconds since the epoch."""
    return time.time_ns()


def rfc3339(time_ns: int) -> str:
    """UTC with nine digits of fraction, as Docker writes it."""
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


def parse(text: str) -> int:
    """Nanoseconds of what `rfc3339` wrote; 0 for the empty text."""
    if not text:
        return 0
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()
    return int(seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0")[:9])
