import pytest

from stackfile.daemon.dockerjson import times
from stackfile.errors import ActionError

SECOND = 10**9


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (1_700_000_000_000_000_001, "2023-11-14T22:13:20.000000001Z"),
        (1_700_000_000_999_999_999, "2023-11-14T22:13:20.999999999Z"),
    ],
)
def test_rfc3339_has_nine_digits_and_reads_back(time_ns: int, text: str) -> None:
    assert times.rfc3339(time_ns) == text
    assert times.nanoseconds(text) == time_ns


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("", 0),
        ("12", 12 * SECOND),
        ("12.5", 12 * SECOND + SECOND // 2),
        ("1700000000.000000001", 1_700_000_000_000_000_001),
        ("2023-11-14T22:13:20Z", 1_700_000_000 * SECOND),
        ("2023-11-14T23:13:20.25+01:00", 1_700_000_000 * SECOND + SECOND // 4),
    ],
)
def test_timestamps_of_since_and_until(text: str, time_ns: int) -> None:
    assert times.timestamp(text) == time_ns


def test_nonsense_is_a_bad_request() -> None:
    with pytest.raises(ActionError) as caught:
        times.timestamp("yesterday")
    assert caught.value.reason == "bad-request"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "Less than a second"),
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (125, "2 minutes"),
        (45 * 60, "45 minutes"),
        (60 * 60, "About an hour"),
        (3 * 3600, "3 hours"),
        (47 * 3600, "47 hours"),
        (3 * 86400, "3 days"),
        (21 * 86400, "3 weeks"),
        (90 * 86400, "3 months"),
        (3 * 365 * 86400, "3 years"),
    ],
)
def test_spans_for_a_person(seconds: int, text: str) -> None:
    assert times.human(seconds * SECOND) == text
