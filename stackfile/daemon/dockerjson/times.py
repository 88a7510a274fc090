"""Times as Docker writes and reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from stackfile.errors import ActionError

ZERO = "0001-01-01T00:00:00Z"
"""Go's zero time: what Docker gives where something has not happened."""
_SECOND = 1_000_000_000
_SPANS = (
    (60, 1, "second"),
    (60 * 46, 60, "minute"),
    (3600 * 48, 3600, "hour"),
    (3600 * 24 * 14, 86400, "day"),
    (3600 * 24 * 60, 604800, "week"),
    (3600 * 24 * 365 * 2, 86400 * 30, "month"),
)


def rfc3339(time_ns: int) -> str:
    """RFC 3339 with nine digits of a fraction: what log timestamps have."""
    whole = datetime.fromtimestamp(time_ns // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{time_ns % _SECOND:09d}Z"


def or_zero(text: str) -> str:
    """A time of the model, or Go's zero time."""
    return text or ZERO


def nanoseconds(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time; 0 for an empty text. Raises ActionError (`bad-request`)."""
    if not text:
        return 0
    head, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    zone = rest[len(digits) :] if dot else ""
    try:
        moment = datetime.fromisoformat(head + zone)
    except ValueError as error:
        raise ActionError("bad-request", f"not a time: {text!r}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * _SECOND + int((digits + "000000000")[:9])


def timestamp(text: str) -> int:
    """Nanoseconds since the epoch of a `since` or `until`: `seconds[.fraction]` or RFC 3339; 0 when empty."""
    if not text:
        return 0
    whole, _, fraction = text.partition(".")
    if whole.lstrip("-").isdigit() and (not fraction or fraction.isdigit()):
        return max(0, int(whole) * _SECOND + int((fraction + "000000000")[:9]))
    return nanoseconds(text)


def seconds(text: str) -> int:
    """Whole seconds since the epoch of an RFC 3339 time."""
    return nanoseconds(text) // _SECOND


def human(span_ns: int) -> str:
    """A span for a person, as Docker's `HumanDuration`: 'Less than a second', '5 minutes', 'About an hour'."""
    count = max(0, span_ns) // _SECOND
    if count < 1:
        return "Less than a second"
    if count == 1:
        return "1 second"
    if 60 <= count < 120:
        return "About a minute"
    if 60 * 46 <= count < 7200 and count // 60 + 30 < 120:
        return "About an hour"
    for limit, unit, name in _SPANS:
        if count < limit:
            number = max(2, round(count / unit)) if unit == 3600 else count // unit
            return f"{number} {name}s" if number != 1 else f"1 {name}"
    return f"{count / (86400 * 365):.0f} years"
